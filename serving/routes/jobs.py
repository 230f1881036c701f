"""Batch jobs over HTTP; only where the recipe names roots (`http.jobs`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from serving.bodies import checked
from serving.jobs import JobBook, JobRequest
from serving.openapi import PROBLEMS, problem_of
from serving.problems import Problem
from serving.service import Entry, Service

Result = TypeVar("Result")
_UNKNOWN = problem_of(404, "there is no job of this id")


def job_routes(service: Service, book: JobBook) -> APIRouter:
    """POST and GET /jobs, GET and DELETE /jobs/{id}, GET /jobs/{id}/result."""
    router = APIRouter(tags=["jobs"])

    async def of(call: Callable[[str], Result], job: str) -> Result:
        try:
            # Off the event loop: a call waits for the disk.
            return await asyncio.to_thread(call, job)
        except KeyError:
            raise Problem(HTTPStatus.NOT_FOUND, "no_such_job", "there is no job of this id") from None

    @router.post("/jobs", status_code=202, openapi_extra=_BODY, responses=PROBLEMS)
    async def add(request: Request) -> JSONResponse:
        """Take on a redaction job on files of the service's machine; `Location` leads to its status."""

        async def added(asked: JobRequest) -> Entry:
            return await asyncio.to_thread(book.add, asked)

        entry = await service.handle(request, lambda value: checked(value, JobRequest), added)
        return JSONResponse(entry, HTTPStatus.ACCEPTED, headers={"Location": f"/jobs/{entry['id']}"})

    @router.get("/jobs")
    async def every() -> Entry:
        """The status of all jobs, the oldest first."""
        return {"jobs": await asyncio.to_thread(book.every)}

    @router.get("/jobs/{job}", responses=_UNKNOWN)
    async def status(job: str) -> Entry:
        """The status of a job: waiting, running, done, failed or cancelled."""
        return await of(book.status, job)

    @router.delete("/jobs/{job}", status_code=202, responses=_UNKNOWN)
    async def cancel(job: str) -> Entry:
        """Cancel a job: it ends behind the shard that it is at, and leaves nothing behind."""
        return await of(book.cancel, job)

    @router.get("/jobs/{job}/result", responses={**_UNKNOWN, **problem_of(409, "the job is not done")})
    async def result(job: str) -> Entry:
        """Summary and certificate of a job that is done; its files are where they were asked for."""
        found = await of(book.result, job)
        if found is None:
            raise Problem(HTTPStatus.CONFLICT, "job_not_done", "the job has no result (yet)")
        return found

    return router


_BODY: Entry = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["input", "output"],
                    "description": "Members as described in docs/serving.md.",
                },
                "examples": {
                    "a folder": {"value": {"input": ["/srv/in"], "output": "/srv/out", "policy": "pipl"}}
                },
            }
        },
    }
}
