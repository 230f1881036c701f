"""`pii bench serve`: what the service costs over its engine, and gains over the usual loop, in one run.

    pii bench serve --config configs/mini/eval.yaml

One engine, the same documents, one load after the other in turns; more documents than the engine keeps
grammars, so that each is compiled anew in every turn. The HTTP client has a process of its own.

- `throughput_of_engine`: POST /extract by 32 callers against the engine alone with the very prompts and
  grammars, in documents for a second of processor time of this process and its children: at least 90 %.
  By processor time, for that is what the throughput of a busy machine depends on: the client, which stands
  elsewhere in earnest, and neighbours are not in it. `by_the_clock` is the same by the clock, client
  included;
- `p50_overhead_ms`: one caller waits at most 15 ms plus 5 % longer for /extract than for the engine;
- `grammar_share`: what decoding under the grammar takes more than free decoding of the same tokens, all
  included (compiling, masks, following it), by processor time: under 10 %. Negative where the grammar saves
  more, by knowing the end, than it costs;
- `times_the_usual_loop`: documents a second against an unbatched ``model.generate`` loop without a grammar
  that writes as many tokens as the right answers with offsets have, as published examples of this task do: at
  least 10 times.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from configs import command
from configs.errors import ConfigError, StageError
from evaluation import measure
from evaluation.bench import Bench, Effort
from evaluation.load import Timing, drive
from evaluation.recipe import EvalConfig
from evaluation.watched import Call, WatchedEngine, service
from pii import codec
from pii.model_folder import read_manifest
from pii.spans import Document
from pii.taxonomy import shipped
from serving.engines.protocol import Engine
from serving.extractor import Extractor

CALLERS = 32
SINGLE_SLICE = 0.2
"""Part of a load's time for which one caller asks one way, before it is the other way's turn."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A ratio and its bound."""

    value: float
    bound: float
    at_least: bool

    def as_json(self) -> dict[str, Any]:
        """With whether it holds."""
        holds = self.value >= self.bound if self.at_least else self.value <= self.bound
        sign = "at least" if self.at_least else "at most"
        return {"value": round(self.value, 4), sign: round(self.bound, 4), "holds": holds}


@dataclass(frozen=True, slots=True)
class Load:
    """One load: what callers saw, and the processor seconds that serving it took."""

    timing: Timing
    processor_s: float

    @property
    def per_second(self) -> float:
        """Documents a second by the clock."""
        return len(self.timing.latencies) / self.timing.seconds

    @property
    def per_processor_second(self) -> float:
        """Documents for a second of processor time."""
        return len(self.timing.latencies) / self.processor_s


def _processor_seconds(besides: int | None = None) -> float:
    """Of this process and its living children (vLLM's core is one) but one."""
    import psutil

    own = psutil.Process()
    total = 0.0
    for process in (own, *own.children(recursive=True)):
        try:
            if process.pid != besides:
                times = process.cpu_times()
                total += times.user + times.system
        except psutil.Error:
            continue
    return total


def _post_all(address: str, texts: Sequence[str], callers: int, seconds: float, most: int) -> Timing:
    """POST /extract; what the client's process does."""
    import httpx

    async def run() -> Timing:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=callers)
        async with httpx.AsyncClient(base_url=address, timeout=600, limits=limits, trust_env=False) as client:

            async def post(text: str) -> None:
                (await client.post("/extract", json={"text": text})).raise_for_status()

            return await drive(post, texts, concurrency=callers, seconds=seconds, most=most)

    return asyncio.run(run())


class Loads:
    """Loads on one extractor, through HTTP from a process of its own and on its engine alone.

    Args:
        bench: the extractor and its engine.
        texts: what is asked for.
        calls: what the engine is asked for each.
        address: of the service.
        client: the pool with the client's process.
    """

    def __init__(
        self,
        bench: Bench,
        texts: Sequence[str],
        calls: Sequence[list[Call]],
        address: str,
        client: ProcessPoolExecutor,
    ) -> None:
        self._bench, self._texts, self._calls = bench, texts, calls
        self._address, self._client = address, client
        self._client_pid = client.submit(_own_pid).result()

    def through_http(self, callers: int, seconds: float) -> Load:
        """POST /extract."""
        most = self._bench.effort.requests
        posting = (self._address, self._texts, callers, seconds, most)
        return self._measured(lambda: self._client.submit(_post_all, *posting).result())

    def to_the_engine(self, callers: int, seconds: float) -> Load:
        """The very prompts and grammars."""
        engine, most = self._bench.engine, self._bench.effort.requests
        assert engine is not None
        driving = drive(engine.replay, self._calls, concurrency=callers, seconds=seconds, most=most)
        return self._measured(lambda: asyncio.run(driving))

    def _measured(self, load: Callable[[], Timing]) -> Load:
        before = _processor_seconds(self._client_pid)
        timing = load()
        return Load(timing, _processor_seconds(self._client_pid) - before)


def _own_pid() -> int:
    import os

    return os.getpid()


def through_the_service(bench: Bench, texts: Sequence[str], rounds: int) -> tuple[dict[str, Claim], float]:
    """Throughput and overhead of HTTP over the engine; and documents a second over HTTP."""
    calls = bench.calls_of(texts)
    seconds = bench.effort.seconds
    spawn = multiprocessing.get_context("spawn")
    with service(bench.extractor) as address, ProcessPoolExecutor(1, spawn) as client:
        loads = Loads(bench, texts, calls, address, client)
        ways = (loads.through_http, loads.to_the_engine)
        many = [[way(CALLERS, seconds) for way in ways] for _ in range(rounds)]
        slices = max(1, round(rounds / SINGLE_SLICE))
        one = [[way(1, seconds * SINGLE_SLICE) for way in ways] for _ in range(slices)]
    slow, quick = (
        1000 * median(latency for pair in one for latency in pair[way].timing.latencies) for way in (0, 1)
    )
    ratios = [http.per_processor_second / engine.per_processor_second for http, engine in many]
    by_the_clock = [http.per_second / engine.per_second for http, engine in many]
    claims = {
        "throughput_of_engine": Claim(median(ratios), 0.9, at_least=True),
        "by_the_clock": Claim(median(by_the_clock), 0.0, at_least=True),
        "p50_overhead_ms": Claim(slow - quick, 15 + 0.05 * quick, at_least=False),
    }
    return claims, median(http.per_second for http, _ in many)


def grammar_share(engine: WatchedEngine, calls: Sequence[list[Call]], rounds: int) -> Claim:
    """What the grammar adds to the processor time of an answer, over the texts that both answer alike.

    Raises StageError: free answers are never those under the grammar.
    """
    bound = [call for group in calls for call in group]
    free = [replace(call, grammar=None) for call in bound]
    alike = [
        (one, other)
        for one, other in zip(bound, free, strict=True)
        if engine.answer(one).token_ids == engine.answer(other).token_ids
    ]
    if not alike:
        raise StageError("without its grammar the model answers everything otherwise: nothing to compare")

    def seconds(asked: Sequence[Call]) -> float:
        before = _processor_seconds()
        for call in asked:
            engine.answer(call)
        return _processor_seconds() - before

    shares = []
    for _ in range(rounds):
        # The bound ones of a round are more than the engine keeps grammars, or the same few are asked again.
        with_grammar, without = seconds([one for one, _ in alike]), seconds([other for _, other in alike])
        shares.append(1 - without / with_grammar)
    return Claim(median(shares), 0.1, at_least=False)


def usual_loop(documents: Sequence[Document], folder: Path, seconds: float) -> float:
    """Documents a second of unbatched ``model.generate``, as many tokens as answers with offsets."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds or not done:
        document = documents[done % len(documents)]
        answer = codec.render(document.text, document.spans, "with_offsets")
        count = len(codec.answer_ids(tokenizer, answer))
        prompt = codec.encode(tokenizer, codec.prompt(document.text), answer_next=True)[0]
        ids = torch.tensor([prompt], device=device)
        with torch.inference_mode():
            made = model.generate(ids, do_sample=False, min_new_tokens=count, max_new_tokens=count)
        assert made.shape[1] == len(prompt) + count
        done += 1
    return done / (time.perf_counter() - began)


def measure_all(
    config: EvalConfig, documents: Sequence[Document], effort: Effort, rounds: int
) -> dict[str, Any]:
    """All claims, with the engine that they are of."""
    folder = config.extractor.model
    if folder is None or config.extractor.detectors == "patterns":
        raise ConfigError("extractor: a model is needed; the patterns have no engine")
    watched: list[WatchedEngine] = []

    def around(engine: Engine) -> Engine:
        watched.append(WatchedEngine(engine))
        return watched[-1]

    with Extractor.open(config.extractor, around) as extractor:
        bench = Bench(extractor, watched[0], effort)
        texts = [document.text for document in documents]
        claims, served = through_the_service(bench, texts, rounds)
        claims["grammar_share"] = grammar_share(watched[0], bench.calls_of(texts), rounds)
        description = extractor.engine
    loop = usual_loop(documents, folder, effort.seconds)
    claims["times_the_usual_loop"] = Claim(served / loop, 10.0, at_least=True)
    return {"engine": description, "documents": len(documents), **_as_json(claims)}


def _as_json(claims: Mapping[str, Claim]) -> dict[str, Any]:
    return {name: claim.as_json() for name, claim in claims.items()}


def _arguments() -> argparse.ArgumentParser:
    made = command.parser("pii bench serve", "Ratios of the service to its engine.", "mini/eval.yaml")
    made.add_argument("--documents", type=int, default=64, help="different ones (default: 64)")
    made.add_argument("--seconds", type=float, default=5.0, help="of each load (default: 5)")
    made.add_argument("--rounds", type=int, default=3, help="of all loads in turns (default: 3)")
    made.add_argument("--requests", type=int, default=2000, help="most of each load (default: 2000)")
    return made


def main(argv: list[str] | None = None) -> int:
    """Measure and print JSON; returns 0, or 1 where a claim does not hold."""
    arguments = _arguments().parse_args(argv)

    def body() -> int:
        if min(arguments.documents, arguments.seconds, arguments.rounds, arguments.requests) <= 0:
            raise ConfigError("documents, seconds, rounds and requests have to be above 0")
        config = command.config_of(arguments, EvalConfig)
        name, split = next(iter(config.splits.items()))
        splits, _ = measure.read_splits(config.model_copy(update={"splits": {name: split}}), shipped())
        # What fits one window, so that a text is one answer for every way.
        window = read_manifest(config.extractor.model).window_chars if config.extractor.model else 0
        short = [e.document for e in splits[0].sampled if len(e.document.text) <= window and e.document.spans]
        if not short:
            raise ConfigError(f"splits.{name}: no document with entities of at most {window} code points")
        effort = Effort(arguments.seconds, arguments.requests)
        report = measure_all(config, short[: arguments.documents], effort, arguments.rounds)
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
        claims = [value for value in report.values() if isinstance(value, dict)]
        return 0 if all(claim["holds"] for claim in claims) else 1

    return command.run(body)


if __name__ == "__main__":
    sys.exit(main())
