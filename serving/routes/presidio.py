"""The routes of Presidio's two services, so that its clients can be pointed here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse

from pii.errors import RequestError
from serving.bodies import checked
from serving.extractor_config import Finder
from serving.openapi import PROBLEMS, answer_like, body_of
from serving.presidio.analyzing import ad_hoc, read_language, results_of, types_for
from serving.presidio.anonymizing import Result, operate, without_conflicts
from serving.presidio.names import names
from serving.presidio.operators import ANONYMIZERS, DEANONYMIZERS, Operator, Parameters
from serving.presidio.requests import AnalyzeRequest, AnonymizeRequest, DeanonymizeRequest
from serving.problems import route_with_error
from serving.requests import check_num_texts
from serving.service import Entry, Service, problems
from serving.together import together


def presidio_routes(service: Service) -> APIRouter:
    """POST /analyze, /anonymize, /deanonymize, and the lists that go with them."""
    router = APIRouter(tags=["Presidio"], route_class=route_with_error(lambda problem: problem.detail))
    listing: dict[int | str, Entry] = {status: PROBLEMS[status] for status in (422, 503)}

    def posting(name: str, schema: type[Any]) -> dict[str, Any]:
        return {"openapi_extra": body_of(schema, name), "responses": {**PROBLEMS, **answer_like(name)}}

    @router.post("/analyze", **posting("analyze", AnalyzeRequest))
    async def analyze(request: Request) -> JSONResponse:
        """Find entities, under Presidio's names; a list of texts gives a list of lists."""
        limit = service.config.http.max_texts
        return JSONResponse(
            await service.handle(
                request, lambda value: _analyze_request(value, limit), lambda asked: _analyzed(service, asked)
            )
        )

    @router.post("/anonymize", **posting("anonymize", AnonymizeRequest))
    async def anonymize(request: Request) -> JSONResponse:
        """Put an operator's result in the place of each of the analyzer's results."""
        return JSONResponse(
            await service.handle(request, lambda value: checked(value, AnonymizeRequest), _anonymized)
        )

    @router.post("/deanonymize", **posting("deanonymize", DeanonymizeRequest))
    async def deanonymize(request: Request) -> JSONResponse:
        """Open what the operator `encrypt` of `/anonymize` sealed."""
        return JSONResponse(
            await service.handle(request, lambda value: checked(value, DeanonymizeRequest), _deanonymized)
        )

    @router.get("/supportedentities", responses=listing)
    async def supported_entities(language: str = "en") -> list[str]:
        """Presidio's names of what can be found."""
        with problems():
            read_language(language)
        return names().all_of(service.extractor.types_of())

    @router.get("/recognizers", responses=listing)
    async def recognizers(language: str = "en") -> list[str]:
        """Who looks."""
        with problems():
            read_language(language)
        looking: dict[str, Finder] = {
            "ModelRecognizer": "model",
            "PatternRecognizer": "patterns",
            "TaggerRecognizer": "tagger",
        }
        return [name for name, detector in looking.items() if service.extractor.types_of(detector)]

    @router.get("/anonymizers")
    async def anonymizers() -> list[str]:
        """Names of the operators of `/anonymize`."""
        return list(ANONYMIZERS)

    @router.get("/deanonymizers")
    async def deanonymizers() -> list[str]:
        """Names of the operators of `/deanonymize`."""
        return list(DEANONYMIZERS)

    @router.get("/health", response_class=PlainTextResponse)
    async def health() -> str:
        """The process is alive, in Presidio's manner."""
        return "Presidio Analyzer and Presidio Anonymizer services are up"

    return router


def _analyze_request(value: Any, max_texts: int) -> AnalyzeRequest:
    asked = checked(value, AnalyzeRequest)
    if isinstance(asked.text, list):
        check_num_texts(asked.text, max_texts, "text")
    if not asked.text:
        raise RequestError("no_text", "text", "No text provided")
    return asked


async def _analyzed(service: Service, asked: AnalyzeRequest) -> Any:
    extractor = service.extractor
    types = types_for(asked, extractor.types_of())
    own, lists = ad_hoc(asked), asked.lists()
    least = asked.score_threshold if extractor.has_scores() else None

    async def one(text: object, place: str | None = None) -> list[dict[str, Any]]:
        with problems(place):
            checked_text = extractor.check_text(text)
            found = await service.find(checked_text, types or None, threshold=least, lists=lists)
            with service.telemetry.stage("answer"):
                return await asyncio.to_thread(results_of, checked_text, found, asked, own, lists)

    if not isinstance(asked.text, list):
        return await one(asked.text)
    return await together(one(text, f"text[{index}]") for index, text in enumerate(asked.text))


async def _anonymized(asked: AnonymizeRequest) -> Entry:
    operators = _operators({"DEFAULT": {"type": "replace"}, **(asked.anonymizers or {})}, ANONYMIZERS)
    results = [Result(r.start, r.end, r.entity_type, r.score) for r in asked.analyzer_results]
    return await asyncio.to_thread(
        lambda: operate(asked.text, without_conflicts(asked.text, results), operators)
    )


async def _deanonymized(asked: DeanonymizeRequest) -> Entry:
    operators = _operators({"DEFAULT": {"type": "deanonymize_keep"}, **asked.deanonymizers}, DEANONYMIZERS)
    results = [Result(r.start, r.end, r.entity_type) for r in asked.anonymizer_results]
    return await asyncio.to_thread(operate, asked.text, results, operators)


def _operators(
    configured: Mapping[str, Parameters], known: Mapping[str, Callable[[Parameters], Operator]]
) -> dict[str, tuple[str, Operator]]:
    """Entity type → name and operator. Raises RequestError ``wrong_operator``."""
    made = {}
    for type, parameters in configured.items():
        name = parameters.get("type")
        if not isinstance(name, str) or name not in known:
            refusal = f"Invalid operator: one of {', '.join(known)}"
            raise RequestError("wrong_operator", "anonymizers", refusal)
        made[type] = name, known[name](parameters)
    return made
