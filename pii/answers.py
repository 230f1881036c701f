"""What the service answers, as typed values: it describes its answers with them, and clients read them.

Members may be added; none changes its meaning or goes away before a new major version. Values and texts are
in no `repr`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class _Answer(BaseModel):
    # A client of today reads the answers of tomorrow's service.
    model_config = ConfigDict(
        extra="ignore", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )


class Part(_Answer):
    """A part of a text: `start` to `end`, exclusive, in the unit that the request asked for."""

    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]


class Entity(Part):
    """One entity of a text."""

    type: str
    value: Annotated[str, Field(repr=False)]
    """The slice of the text that `start` and `end` mark."""
    score: Annotated[float, Field(ge=0, le=1)] | None = None
    """How likely it is right; not there where the model was never measured."""
    subtype: str | None = None
    """Country or issuer, such as ``cn_resident_id``, where a checksum or shape tells it."""
    source: str | None = None
    """Who found it: ``model``, ``tagger``, ``pattern``, several of them joined by ``+``, ``deny_list``, or
    ``propagated`` where the value was found elsewhere in the text."""
    contributions: dict[str, float] | None = None
    """What each feature adds to the log-odds of the score; only with `explain`."""


class Extracted(_Answer):
    """The entities of one text, by place and without overlap."""

    entities: tuple[Entity, ...]
    truncated: tuple[Part, ...] = ()
    """Parts for which the model's answer did not fit; patterns and what could be read still count there."""


class Replaced(Part):
    """Where in the redacted text a replacement stands, and for what type."""

    type: str


class RedactedText(_Answer):
    """One text without its entities."""

    text: Annotated[str, Field(repr=False)]
    replacements: tuple[Replaced, ...]
    truncated: tuple[Part, ...] = ()
    """As for extraction; offsets are those of the original text."""


class RestoredText(_Answer):
    """One text with its sealed tokens opened."""

    text: Annotated[str, Field(repr=False)]
    num_restored: int
    num_foreign: int
    """What looks like a token and is none of this service's key: left as it stands."""
    refused: tuple[Part, ...] = ()
    """Tokens of this key that do not open, in the redacted text; left as they stand."""


class ProblemDetails(_Answer):
    """An error (RFC 9457). Branch on `code`; `detail` is for people and holds nothing of the request."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    place: str | None = None
    """Where in the request, such as ``texts[3]``."""


class Failed(_Answer):
    """Stands in the place of a text that could not be read."""

    error: ProblemDetails


class ExtractedTexts(_Answer):
    """One result for each of `texts`, in their order."""

    results: tuple[Extracted | Failed, ...]


class RedactedTexts(_Answer):
    """One result for each of `texts`, in their order."""

    results: tuple[RedactedText | Failed, ...]


class RestoredTexts(_Answer):
    """One result for each of `texts`, in their order."""

    results: tuple[RestoredText | Failed, ...]


class EntityKind(_Answer):
    """One entity type of the taxonomy."""

    name: str
    zh: str
    en: str
    tier: str
    default: bool
    """Whether a request that names no types asks for it."""
    sensitive: str = ""
    """The law that counts it as sensitive personal information; empty: none does."""
    detectors: tuple[str, ...] = ()
    """Who can find it here: ``model``, ``patterns``, both or nobody."""


class EntityTypes(_Answer):
    """All entity types."""

    entity_types: tuple[EntityKind, ...]


class Version(_Answer):
    """Versions of the program and of the answer format."""

    version: str
    codec_version: int
    codec_fingerprint: str
