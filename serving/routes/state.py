"""What the service is and whether it can be asked."""

from __future__ import annotations

from http import HTTPStatus
from importlib import metadata

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from pii import codec
from pii.answers import EntityTypes, Version
from pii.taxonomy import shipped
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from serving.metrics import CONTENT_TYPE
from serving.openapi import PROBLEMS
from serving.service import Entry, Service

VERSION = metadata.version("pii-extraction")


def state_routes(service: Service) -> APIRouter:
    """GET /healthz, /readyz, /metrics, /entity_types and /version."""
    router = APIRouter(tags=["state"])

    @router.get("/healthz")
    async def healthz() -> Entry:
        """The process is alive."""
        return {"alive": True}

    @router.get("/readyz", responses={503: {"description": "texts cannot be read (yet, or any more)"}})
    async def readyz() -> JSONResponse:
        """Whether texts can be read, and by what."""
        if not service.is_ready:
            state: Entry = {"ready": False, "state": service.supervisor.state}
            return JSONResponse(state, HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "5"})
        state = {
            "ready": True,
            "state": "ready",
            "engine": service.extractor.engine,
            "model": _identity(service.extractor),
            "profile": _profile(service.extractor.config),
            "requests": service.admission.num_requests,
        }
        return JSONResponse(state)

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """What was counted and measured, in the text format of Prometheus."""
        return Response(service.telemetry.metrics.page(), media_type=CONTENT_TYPE)

    @router.get("/entity_types", response_model=EntityTypes, responses={503: PROBLEMS[503]})
    async def entity_types() -> Entry:
        """The types, their names, tier and law, and which detectors know them."""
        known = {name: service.extractor.types_of(name) for name in ("model", "patterns", "tagger")}
        return {
            "entity_types": [
                {**kind.model_dump(), "detectors": [d for d, types in known.items() if kind.name in types]}
                for kind in shipped()
            ]
        }

    @router.get("/version", response_model=Version)
    async def version() -> Entry:
        """Versions of the program and of the answer format."""
        return {
            "version": VERSION,
            "codec_version": codec.VERSION,
            "codec_fingerprint": codec.fingerprint(),
        }

    return router


def _profile(config: ExtractorConfig) -> Entry | None:
    """The profile's name and what it sets; none where no engine is there to be set."""
    if config.detectors == "patterns":
        return None
    return {"name": config.profile, **config.chosen.model_dump()}


def _identity(extractor: Extractor) -> Entry | None:
    manifest = extractor.manifest
    if manifest is None:
        return None
    fields = {"base_model", "method", "data_identity", "num_parameters", "window_chars", "context_tokens"}
    return {"folder": str(extractor.config.model), **manifest.model_dump(mode="json", include=fields)}
