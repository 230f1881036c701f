"""The calls as values: what is sent, and as what the answer is read. Both clients make the same ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypedDict, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from pii.answers import (
    EntityTypes,
    Extracted,
    ExtractedTexts,
    ProblemDetails,
    RedactedText,
    RedactedTexts,
    RestoredText,
    RestoredTexts,
    Version,
)
from pii.client.errors import Refused, Unavailable, Unreachable
from pii.client.retries import RETRIED, Retries

Answer = TypeVar("Answer", bound=BaseModel)


class ReadOptions(TypedDict, total=False):
    """What `extract` and `redact` may be told; see docs/serving.md."""

    types: Sequence[str]
    detectors: Literal["merged", "model", "patterns"]
    threshold: float
    operating_point: Literal["recall", "balanced", "precision"]
    language: str
    allow_list: Sequence[str | Mapping[str, str]]
    deny_list: Sequence[str | Mapping[str, str]]
    propagate: bool
    offset_unit: Literal["codepoint", "utf16", "utf8"]


class ExtractOptions(ReadOptions, total=False):
    """What `extract` may be told."""

    explain: bool


class RedactOptions(ReadOptions, total=False):
    """What `redact` may be told."""

    policy: str | Mapping[str, Any]


class RestoreOptions(TypedDict, total=False):
    """What `restore` may be told."""

    tenant: str
    tolerant: bool


Outcome = httpx.Response | httpx.HTTPError
"""What became of one attempt: an answer, or why there is none."""

BATCH = 64
"""Texts that the ``_many`` calls send in one request."""


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """One request, and the form of its answer."""

    path: str
    answer: type[Answer]
    body: Mapping[str, Any] | None = field(default=None, repr=False)

    def request(self, http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        """The request, for one of httpx's clients to send: GET without a body, otherwise POST."""
        if self.body is None:
            return http.build_request("GET", self.path)
        # In escapes where a lone surrogate cannot be written otherwise: the service says which text it is.
        try:
            content = json.dumps(self.body, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            content = json.dumps(self.body).encode()
        return http.build_request(
            "POST", self.path, content=content, headers={"content-type": "application/json"}
        )

    def wait_s(self, outcome: Outcome, attempt: int, retries: Retries) -> float | None:
        """How long to wait before the next attempt; None: this outcome is the last."""
        if isinstance(outcome, httpx.HTTPError):
            return retries.wait_s(attempt)
        if outcome.status_code in RETRIED:
            return retries.wait_s(attempt, outcome.headers.get("retry-after"))
        return None

    def read(self, outcome: Outcome) -> Answer:
        """The answer. Raises Unreachable, Refused or Unavailable, without any text of either side."""
        if isinstance(outcome, httpx.HTTPError):
            raise Unreachable(type(outcome).__name__) from None
        if outcome.is_success:
            try:
                return self.answer.model_validate_json(outcome.content)
            except ValidationError:
                raise Refused(_strange(outcome, "the answer is none of this service")) from None
        try:
            problem = ProblemDetails.model_validate_json(outcome.content)
        except ValidationError:
            # A proxy's page, perhaps.
            problem = _strange(outcome, outcome.reason_phrase)
        raise (Unavailable if outcome.status_code in RETRIED else Refused)(problem)


def _strange(response: httpx.Response, detail: str) -> ProblemDetails:
    title = response.reason_phrase or "error"
    return ProblemDetails(title=title, status=response.status_code, detail=detail, code="not_our_answer")


def extract(text: str, options: ExtractOptions) -> Call[Extracted]:
    """POST /extract for one text."""
    return Call("/extract", Extracted, {"text": text, **options})


def extract_many(texts: Sequence[str], options: ExtractOptions) -> Iterator[Call[ExtractedTexts]]:
    """POST /extract for many texts, in batches."""
    return (Call("/extract", ExtractedTexts, {"texts": batch, **options}) for batch in _batches(texts))


def redact(text: str, options: RedactOptions) -> Call[RedactedText]:
    """POST /redact for one text."""
    return Call("/redact", RedactedText, {"text": text, **options})


def redact_many(texts: Sequence[str], options: RedactOptions) -> Iterator[Call[RedactedTexts]]:
    """POST /redact for many texts, in batches."""
    return (Call("/redact", RedactedTexts, {"texts": batch, **options}) for batch in _batches(texts))


def restore(text: str, options: RestoreOptions) -> Call[RestoredText]:
    """POST /restore for one text."""
    return Call("/restore", RestoredText, {"text": text, **options})


def restore_many(texts: Sequence[str], options: RestoreOptions) -> Iterator[Call[RestoredTexts]]:
    """POST /restore for many texts, in batches."""
    return (Call("/restore", RestoredTexts, {"texts": batch, **options}) for batch in _batches(texts))


ENTITY_TYPES = Call("/entity_types", EntityTypes)
VERSION = Call("/version", Version)


def _batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), BATCH):
        yield texts[start : start + BATCH]
