"""Finding entities in texts, replacing them, and opening what was sealed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from pii.answers import Extracted, ExtractedTexts, RedactedText, RedactedTexts, RestoredText, RestoredTexts
from pii.errors import DataError, RequestError
from pii.redaction import KeyRequired, LeakError, RedactionKey, redact_verified, restore
from serving.extraction import Extraction
from serving.offsets import OffsetUnit, in_unit
from serving.openapi import PROBLEMS, answer_of, body_of, problem_of
from serving.problems import Problem
from serving.requests import ExtractRequest, RedactRequest, RestoreRequest
from serving.service import Entry, Service


def reading_routes(service: Service) -> APIRouter:
    """POST /extract, /redact and /restore.

    Raises KeyRequired: the recipe's policy needs a key, and there is none.
    """
    router = APIRouter(tags=["texts"])
    configured = service.config.redaction
    key = RedactionKey.find(service.config.redaction_key_file)
    if configured.needs_key and key is None:
        raise KeyRequired(configured.needs_key)

    async def extracted(text: str, asked: ExtractRequest) -> Entry:
        extraction = await service.extract(text, asked)
        with service.telemetry.stage("answer"):
            return await asyncio.to_thread(_extracted, text, extraction, asked, service)

    async def redacted(text: str, asked: RedactRequest) -> Entry:
        extraction = await service.extract(text, asked)
        own = asked if asked.policy else asked.model_copy(update={"policy": configured})
        with service.telemetry.stage("answer"):
            # Redaction reads the text once more: off the event loop, which other requests wait for.
            return await asyncio.to_thread(_redacted, text, extraction, own, key)

    async def restored(text: str, asked: RestoreRequest) -> Entry:
        assert key is not None
        return await asyncio.to_thread(_restored, text, asked, key)

    @router.post(
        "/extract",
        openapi_extra=body_of(ExtractRequest, "extract"),
        responses={**PROBLEMS, **answer_of("extract", Extracted, ExtractedTexts)},
    )
    async def extract(request: Request) -> JSONResponse:
        """Find entities in `text`, or in each of `texts` in their order."""
        return JSONResponse(await service.answer(request, ExtractRequest, extracted))

    @router.post(
        "/redact",
        openapi_extra=body_of(RedactRequest, "redact"),
        responses={**PROBLEMS, **answer_of("redact", RedactedText, RedactedTexts)},
    )
    async def redact_(request: Request) -> JSONResponse:
        """Replace entities in `text`, or in each of `texts` in their order."""
        return JSONResponse(await service.answer(request, RedactRequest, redacted))

    @router.post(
        "/restore",
        openapi_extra=body_of(RestoreRequest, "restore"),
        responses={
            **PROBLEMS,
            **problem_of(403, "the recipe does not allow it, or there is no key"),
            **answer_of("restore", RestoredText, RestoredTexts),
        },
    )
    async def restore_(request: Request) -> JSONResponse:
        """Put back the values that the operator `encrypt` sealed under the key of this service."""
        if not service.config.http.restore:
            raise Problem(HTTPStatus.FORBIDDEN, "restore_off", "the recipe does not allow it: http.restore")
        if key is None:
            raise Problem(HTTPStatus.FORBIDDEN, "restore_off", "the service has no redaction key")
        return JSONResponse(await service.answer(request, RestoreRequest, restored))

    return router


def _extracted(text: str, extraction: Extraction, asked: ExtractRequest, service: Service) -> Entry:
    """The answer for one text: the seed's members first, then what else is known of an entity."""
    entities = []
    for span in extraction.spans:
        told = {
            "score": None if span.score is None else round(span.score, 4),
            "subtype": span.subtype,
            "source": span.source,
        }
        entities.append(
            span.as_entity(text) | {name: value for name, value in told.items() if value is not None}
        )
    if asked.explain:
        for entity, parts in zip(entities, service.extractor.explain(extraction), strict=True):
            entity["contributions"] = {name: round(part, 4) for name, part in parts.items()}
    answer = {"entities": entities, **_remarks(extraction)}
    _count_in(text, asked.offset_unit, [*entities, *answer.get("truncated", ())])
    return answer


def _redacted(text: str, extraction: Extraction, asked: RedactRequest, key: RedactionKey | None) -> Entry:
    lists = asked.lists
    try:
        outcome = redact_verified(
            text, extraction.suspected, asked.policy, key=key, types=asked.types, allows=lists.allows
        ).redacted
    except KeyRequired as error:
        raise RequestError("key_required", "policy", f"the service has no key for {error.operator}") from None
    except LeakError as error:
        raise RequestError("leak", "text", str(error)) from None
    replacements = [{"type": r.span.type, "start": r.start, "end": r.end} for r in outcome.replacements]
    remarks = _remarks(extraction)
    _count_in(outcome.text, asked.offset_unit, replacements)
    _count_in(text, asked.offset_unit, remarks.get("truncated", ()))
    return {"text": outcome.text, "replacements": replacements, **remarks}


def _restored(text: str, asked: RestoreRequest, key: RedactionKey) -> Entry:
    try:
        done = restore(text, key, asked.tenant, tolerant=asked.tolerant)
    except DataError as error:
        raise RequestError("tokens_refused", "text", str(error)) from None
    return {
        "text": done.text,
        "num_restored": done.num_restored,
        "num_foreign": done.num_foreign,
        **({"refused": [{"start": s, "end": e} for s, e in done.refused]} if done.refused else {}),
    }


def _remarks(extraction: Extraction) -> Entry:
    """What a reader of the answer has to know; nothing where all went well."""
    if not extraction.truncated:
        return {}
    return {"truncated": [{"start": start, "end": end} for start, end in extraction.truncated]}


def _count_in(text: str, unit: OffsetUnit, places: Iterable[Entry]) -> None:
    """Give places of a text the offsets of another unit."""
    if unit == "codepoint":
        return
    marked = list(places)
    table = in_unit(text, (place[edge] for place in marked for edge in ("start", "end")), unit)
    for place in marked:
        place["start"], place["end"] = table[place["start"]], table[place["end"]]
