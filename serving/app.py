"""The application: its routes and what surrounds them. ``serving.server`` runs it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Never

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException

from serving.access import Access
from serving.extractor import Extractor
from serving.guard import Guard
from serving.jobs import JobBook
from serving.keys import KeyRing
from serving.openapi import describe_shared
from serving.problems import Problem
from serving.routes.chat import chat_routes
from serving.routes.jobs import job_routes
from serving.routes.page import page_routes
from serving.routes.presidio import presidio_routes
from serving.routes.reading import reading_routes
from serving.routes.state import VERSION, state_routes
from serving.service import Service
from serving.settings import ServeConfig


def create_app(config: ServeConfig, extractor: Extractor | None = None) -> FastAPI:
    """The application. With an extractor it is ready at once; without, it loads the configured one."""
    service = Service(config, extractor)
    keys = KeyRing(config.http.api_keys_file) if config.http.api_keys_file else None
    # No interactive pages: they would load their scripts from somebody else's server.
    app = FastAPI(
        title="pii-extraction",
        version=VERSION,
        lifespan=service.lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    app.add_middleware(Access, settings=config.http, keys=keys)
    # The last one added is the outermost.
    app.add_middleware(Guard, metrics=service.telemetry.metrics, traces=service.telemetry.traces)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.include_router(reading_routes(service))
    app.include_router(presidio_routes(service))
    app.include_router(chat_routes(service))
    app.include_router(page_routes())
    app.include_router(state_routes(service))
    if config.http.jobs.roots:
        book = JobBook(config, service)
        service.beside.append(book)
        app.include_router(job_routes(service, book))
    describe_shared(app)
    return app


async def _on_http_exception(_: Request, error: Exception) -> Never:
    """404 and 405 of the router, which would otherwise answer in another form; `Guard` answers problems."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    code = status.phrase.lower().replace(" ", "_")
    raise Problem(status, code, status.phrase, headers=dict(error.headers or {}))
