"""Finding entities in texts, and replacing them."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from pii.errors import RequestError
from pii.redaction import KeyRequired, LeakError, Policy, RedactionKey, redact_verified
from serving.extractor import Extraction, Extractor
from serving.openapi import PROBLEMS, body_of
from serving.requests import ExtractRequest, RedactRequest
from serving.service import Entry, Service


def reading_routes(service: Service) -> APIRouter:
    """POST /extract and /redact.

    Raises KeyRequired: the recipe's policy needs a key, and there is none.
    """
    router = APIRouter()
    configured = service.config.redaction
    key = RedactionKey.find(service.config.redaction_key_file)
    if configured.needs_key and key is None:
        raise KeyRequired(configured.needs_key)

    def redacted(extraction: Extraction, text: str, asked: RedactRequest) -> Entry:
        policy = asked.policy or configured
        return {**_redacted(text, extraction, policy, key, asked.types), **_remarks(extraction)}

    def extracted(extraction: Extraction, text: str, asked: ExtractRequest) -> Entry:
        entities = [span.as_entity(text) for span in extraction.spans]
        if asked.explain:
            for entity, told in zip(entities, _explained(extraction, service.extractor), strict=True):
                entity |= told
        return {"entities": entities, **_remarks(extraction)}

    @router.post("/extract", openapi_extra=body_of(ExtractRequest), responses=PROBLEMS)
    async def extract(request: Request) -> JSONResponse:
        """Find entities in `text`, or in each of `texts` in their order."""
        return JSONResponse(await service.answer(request, ExtractRequest, extracted))

    @router.post("/redact", openapi_extra=body_of(RedactRequest), responses=PROBLEMS)
    async def redact_(request: Request) -> JSONResponse:
        """Replace entities in `text`, or in each of `texts` in their order."""
        return JSONResponse(await service.answer(request, RedactRequest, redacted))

    return router


def _explained(extraction: Extraction, extractor: Extractor) -> list[Entry]:
    """What `explain` adds to each entity; score and contributions are empty where the model has no scores."""
    return [
        {
            "score": None if span.score is None else round(span.score, 4),
            "subtype": span.subtype,
            "source": span.source,
            "contributions": {name: round(part, 4) for name, part in parts.items()},
        }
        for span, parts in zip(extraction.spans, extractor.explain(extraction), strict=True)
    ]


def _remarks(extraction: Extraction) -> Entry:
    """What a reader of the answer has to know; nothing where all went well."""
    if not extraction.truncated:
        return {}
    return {"truncated": [{"start": start, "end": end} for start, end in extraction.truncated]}


def _redacted(
    text: str, extraction: Extraction, policy: Policy, key: RedactionKey | None, types: list[str] | None
) -> Entry:
    try:
        outcome = redact_verified(text, extraction.suspected, policy, key=key, types=types).redacted
    except KeyRequired as error:
        raise RequestError("key_required", "policy", f"the service has no key for {error.operator}") from None
    except LeakError as error:
        raise RequestError("leak", "text", str(error)) from None
    return {
        "text": outcome.text,
        "replacements": [{"type": r.span.type, "start": r.start, "end": r.end} for r in outcome.replacements],
    }
