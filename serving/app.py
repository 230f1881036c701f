"""``pii serve``: POST /extract and /redact over HTTP.

    pii serve --config configs/mini/serve.yaml
    curl -s localhost:8000/extract -H 'content-type: application/json' -d '{"text": "..."}'

It listens at once and loads the model meanwhile; /readyz says when texts can be read.
"""

from __future__ import annotations

import logging
import socket
import sys
from http import HTTPStatus
from importlib import metadata
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from configs import command
from configs.errors import ConfigError, UserError
from pii import codec
from pii.errors import RequestError
from pii.model_folder import read_manifest
from pii.redaction import KeyRequired, LeakError, Policy, RedactionKey, redact_verified
from pii.taxonomy import shipped
from serving.extractor import Extraction, Extractor
from serving.guard import Guard
from serving.problems import MEDIA_TYPE, Problem
from serving.requests import ExtractRequest, ReadRequest, RedactRequest
from serving.service import Entry, Service
from serving.settings import ServeConfig
from serving.silence import describe, quieten

if TYPE_CHECKING:
    import uvicorn

logger = logging.getLogger(__name__)


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


def create_app(config: ServeConfig, extractor: Extractor | None = None) -> FastAPI:
    """The application. With an extractor it is ready at once; without, it loads the configured one."""
    service = Service(config, extractor)
    # No interactive pages: they would load their scripts from somebody else's server.
    app = FastAPI(
        title="pii-extraction",
        version=metadata.version("pii-extraction"),
        lifespan=service.lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    app.add_middleware(Guard)
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(HTTPException, _on_http_exception)
    _add_reading_routes(app, service)
    _add_state_routes(app, service)
    _describe_shared(app)
    return app


def _add_reading_routes(app: FastAPI, service: Service) -> None:
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

    @app.post("/extract", openapi_extra=_body_of(ExtractRequest), responses=_PROBLEMS)
    async def extract(request: Request) -> JSONResponse:
        """Find entities in `text`, or in each of `texts` in their order."""
        return JSONResponse(await service.answer(request, ExtractRequest, extracted))

    @app.post("/redact", openapi_extra=_body_of(RedactRequest), responses=_PROBLEMS)
    async def redact_(request: Request) -> JSONResponse:
        """Replace entities in `text`, or in each of `texts` in their order."""
        return JSONResponse(await service.answer(request, RedactRequest, redacted))


def _add_state_routes(app: FastAPI, service: Service) -> None:
    @app.get("/healthz")
    async def healthz() -> Entry:
        """The process is alive."""
        return {"alive": True}

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        """Whether texts can be read, and by what."""
        if not service.is_ready:
            return JSONResponse({"ready": False}, HTTPStatus.SERVICE_UNAVAILABLE)
        state = {
            "ready": True,
            "engine": service.extractor.engine,
            "model": _identity(service.extractor),
            "requests": service.admission.num_requests,
        }
        return JSONResponse(state)

    @app.get("/entity_types")
    async def entity_types() -> Entry:
        """The types, their names, tier and law, and which detectors know them."""
        known = {name: service.extractor.types_of(name) for name in ("model", "patterns")}
        return {
            "entity_types": [
                {**kind.model_dump(), "detectors": [d for d, types in known.items() if kind.name in types]}
                for kind in shipped()
            ]
        }

    @app.get("/version")
    async def version() -> Entry:
        """Versions of the program and of the answer format."""
        return {
            "version": app.version,
            "codec_version": codec.VERSION,
            "codec_fingerprint": codec.fingerprint(),
        }


def _identity(extractor: Extractor) -> Entry | None:
    manifest = extractor.manifest
    if manifest is None:
        return None
    fields = {"base_model", "method", "data_identity", "num_parameters", "window_chars", "context_tokens"}
    return {"folder": str(extractor.config.model), **manifest.model_dump(mode="json", include=fields)}


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


def _body_of(schema: type[ReadRequest]) -> Entry:
    """The request body for the OpenAPI document: the routes read it themselves, to bound and check it."""
    described = schema.model_json_schema(ref_template="#/components/schemas/{model}")
    described.pop("$defs", None)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": described}}}}


def _describe_shared(app: FastAPI) -> None:
    """Add to the OpenAPI document what its request bodies refer to."""
    generate = app.openapi

    def openapi() -> Entry:
        described = generate()
        shared = RedactRequest.model_json_schema(ref_template="#/components/schemas/{model}").get("$defs", {})
        described.setdefault("components", {}).setdefault("schemas", {}).update(shared)
        return described

    app.openapi = openapi  # type: ignore[method-assign]


_PROBLEMS: dict[int | str, Entry] = {
    status: {"description": description, "content": {MEDIA_TYPE: {}}}
    for status, description in {
        400: "not JSON or not UTF-8",
        413: "the body is too large",
        415: "not application/json",
        422: "a member is wrong; code and place say which",
        503: "loading, too busy or too late; Retry-After says when to come again",
    }.items()
}


async def _on_problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return error.response()


async def _on_http_exception(_: Request, error: Exception) -> JSONResponse:
    """404 and 405 of the router, which would otherwise answer in another form."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    code = status.phrase.lower().replace(" ", "_")
    return Problem(status, code, status.phrase, headers=dict(error.headers or {})).response()


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ConfigError where the address is not to be had."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(f"http.host, http.port: cannot listen ({error.strerror})") from None


def _serve(config: ServeConfig) -> int:
    import uvicorn

    extractor = config.extractor
    if extractor.detectors != "patterns" and extractor.model is not None:
        # The commonest mistake, found before a port is opened.
        read_manifest(extractor.model)
    listener = _listen(config.http.host, config.http.port)
    app = create_app(config)
    # The access log of the server holds paths and query strings: `Guard` writes one without.
    server = uvicorn.Server(
        uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=30
        )
    )
    service: Service = app.state.service
    service.on_failure = lambda: _stop(server)
    address = listener.getsockname()
    logger.info("listening on %s port %d", address[0], address[1])
    if address[0] not in ("127.0.0.1", "::1"):
        logger.warning("open to other machines, without authentication")
    with listener:
        server.run(sockets=[listener])
    if service.failure is None:
        return 0
    if isinstance(service.failure, UserError):
        raise service.failure
    logger.error("the model could not be loaded: %s", describe(service.failure))
    return 1


def _stop(server: uvicorn.Server) -> None:
    server.should_exit = True


def main(argv: list[str] | None = None) -> int:
    """Serve until a signal ends it; returns 0, or 2 where the configuration or the model cannot be used."""
    parser = command.parser("pii serve", "Answer POST /extract and /redact over HTTP.", "mini/serve.yaml")
    arguments = parser.parse_args(argv)

    def body() -> int:
        quieten()
        return _serve(command.config_of(arguments, ServeConfig))

    return command.run(body)


if __name__ == "__main__":
    sys.exit(main())
