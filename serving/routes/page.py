"""The page at ``/``: try a text, see what is found and what is left of it. Static files and nothing else."""

from __future__ import annotations

from http import HTTPStatus
from importlib import resources

from fastapi import APIRouter
from fastapi.responses import Response

from serving.access import PAGE_FILES
from serving.problems import Problem

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

HEADERS = {
    # Nothing from anywhere else, nothing inline, no frames, no forms: a text that holds markup stays text.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",
}


def page_routes() -> APIRouter:
    """GET / and the files that it needs; not in the OpenAPI document."""
    router = APIRouter(include_in_schema=False)
    folder = resources.files("serving") / "page"
    files = {file.name: file.read_bytes() for file in folder.iterdir() if _ending(file.name) in MEDIA_TYPES}

    @router.get("/")
    async def page() -> Response:
        return Response(files["index.html"], headers=HEADERS, media_type=MEDIA_TYPES[".html"])

    @router.get(PAGE_FILES + "{name}")
    async def file(name: str) -> Response:
        # A table, not a folder: no name leads anywhere else.
        if name not in files:
            raise Problem(HTTPStatus.NOT_FOUND, "not_found", HTTPStatus.NOT_FOUND.phrase)
        return Response(files[name], headers=HEADERS, media_type=MEDIA_TYPES[_ending(name)])

    return router


def _ending(name: str) -> str:
    return name[name.rfind(".") :]
