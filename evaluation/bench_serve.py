"""`pii bench serve`: what the service costs over its engine, and gains over the usual loop, in one run.

    pii bench serve --config configs/mini/eval.yaml

One engine, the same documents, one load after the other in turns, each of as many documents. The HTTP client
has a process of its own. The engine alone is asked in two ways: with the *prompts* and grammars of these
documents, which is what its user has, and it guesses ahead by itself; and *drafted*, given the likely answers
too that patterns and tagger of the service made of the texts before the clock began.

- `throughput_of_engine`: POST /extract by 32 callers against the engine with the prompts, in documents for a
  second of processor time of this process and its children: at least 90 %. By processor time, for that is
  what the throughput of a busy machine depends on: the client, which stands elsewhere in earnest, and
  neighbours are not in it. `throughput_of_drafted_engine` is the same against the drafted one, whose drafts
  cost it nothing; no bound. `..._by_the_clock`: the same by the clock, client included;
- `p50_overhead_ms`, `p50_overhead_over_drafted_ms`: one caller waits at most 15 ms plus 5 % longer for
  /extract than for the engine, client included;
- `grammar_share`: what decoding under the grammar takes more than free decoding of the same tokens, all
  included (preparing it, masks, following it), by processor time and drafted, which makes it the larger part:
  under 10 %. Negative where the grammar saves more, by knowing the end, than it costs;
- `times_the_usual_loop`: documents for a second of processor time against an unbatched ``model.generate``
  loop without a grammar that writes as many tokens as the right answers with offsets have, as published
  examples of this task do: at least 10 times. `..._by_the_clock`: by the clock;
- `processor_ms`: what a document takes by each way, and what the client takes beside it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from configs import command
from configs.errors import ConfigError, StageError
from evaluation import measure
from evaluation.bench import Bench, Effort
from evaluation.bench_loads import Load, Loads, UsualLoop, processor_seconds
from evaluation.recipe import EvalConfig
from evaluation.watched import Call, WatchedEngine, service
from pii.model_folder import read_manifest
from pii.spans import Document
from pii.taxonomy import shipped
from serving.engines.protocol import Engine
from serving.extractor import Extractor

CALLERS = 32
_FEW = 16
"""Documents that one caller asks for one way, before it is the next way's turn; and the loop's in a turn."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A ratio or difference, and its bound; without one it is only told."""

    value: float
    bound: float | None = None
    at_least: bool = True

    def as_json(self) -> dict[str, Any]:
        """With whether it holds."""
        told = {"value": round(self.value, 4)}
        if self.bound is None:
            return told
        holds = self.value >= self.bound if self.at_least else self.value <= self.bound
        sign = "at least" if self.at_least else "at most"
        return {**told, sign: round(self.bound, 4), "holds": holds}


Turn = Mapping[str, Load]
"""The loads of one turn, by way: ``http``, ``prompts``, ``drafted``, ``loop``."""


def _turns(loads: Loads, callers: int, number: int, firsts: Sequence[int]) -> list[Turn]:
    ways = {"http": loads.through_http, "prompts": loads.prompts, "drafted": loads.drafted}
    return [{name: way(callers, number, first) for name, way in ways.items()} for first in firsts]


def _throughput(many: Sequence[Turn]) -> dict[str, Claim]:
    """Of the service beside its engine, the medians of all turns."""
    claims = {}
    for name, way, bound in (
        ("throughput_of_engine", "prompts", 0.9),
        ("throughput_of_drafted_engine", "drafted", None),
    ):
        ratios = [turn["http"].per_processor_second / turn[way].per_processor_second for turn in many]
        clock = [turn["http"].per_second / turn[way].per_second for turn in many]
        claims[name] = Claim(median(ratios), bound)
        claims[f"{name}_by_the_clock"] = Claim(median(clock))
    return claims


def _overhead(one: Sequence[Turn]) -> dict[str, Claim]:
    """How much longer one caller waits than for the engine."""
    waited = {
        way: 1000 * median(latency for turn in one for latency in turn[way].timing.latencies)
        for way in one[0]
    }
    return {
        name: Claim(waited["http"] - waited[way], 15 + 0.05 * waited[way], at_least=False)
        for name, way in (("p50_overhead_ms", "prompts"), ("p50_overhead_over_drafted_ms", "drafted"))
    }


def _against_the_loop(many: Sequence[Turn]) -> dict[str, Claim]:
    pairs = [(turn["http"], turn["loop"]) for turn in many]
    processor = [http.per_processor_second / loop.per_processor_second for http, loop in pairs]
    return {
        "times_the_usual_loop": Claim(median(processor), 10.0),
        "times_the_usual_loop_by_the_clock": Claim(
            median(http.per_second / loop.per_second for http, loop in pairs)
        ),
    }


def _processor_ms(many: Sequence[Turn]) -> dict[str, float]:
    """Milliseconds for a document: of each way, and of the client."""
    spent = {way: median(1000 / turn[way].per_processor_second for turn in many) for way in many[0]}
    clients = (1000 * turn["http"].client_s / len(turn["http"].timing.latencies) for turn in many)
    return {way: round(value, 2) for way, value in {**spent, "client": median(clients)}.items()}


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
        before = processor_seconds()
        for call in asked:
            engine.answer(call)
        return processor_seconds() - before

    shares = []
    for _ in range(rounds):
        # The bound ones of a round are more than the engine keeps grammars, or the same few are asked again.
        with_grammar, without = seconds([one for one, _ in alike]), seconds([other for _, other in alike])
        shares.append(1 - without / with_grammar)
    return Claim(median(shares), 0.1, at_least=False)


def measure_all(
    config: EvalConfig, documents: Sequence[Document], requests: int, rounds: int
) -> dict[str, Any]:
    """All claims, with the engine that they are of.

    Args:
        config: the extractor's part of it counts.
        documents: what is asked for.
        requests: documents of each load of many callers.
        rounds: turns of all loads.
    """
    folder = config.extractor.model
    if folder is None or config.extractor.detectors == "patterns":
        raise ConfigError("extractor: a model is needed; the patterns have no engine")
    watched: list[WatchedEngine] = []

    def around(engine: Engine) -> Engine:
        watched.append(WatchedEngine(engine))
        return watched[-1]

    texts = [document.text for document in documents]
    with Extractor.open(config.extractor, around) as extractor:
        engine = watched[0]
        calls = Bench(extractor, engine, Effort(0.0, 1)).calls_of(texts)
        loop = UsualLoop(documents, folder)
        few = min(_FEW, len(documents))
        spawn = multiprocessing.get_context("spawn")
        with service(extractor) as address, ProcessPoolExecutor(1, spawn) as client:
            loads = Loads(engine, texts, calls, address, client)
            many = [
                {**turn, "loop": loop.load(few, number * few)}
                for number in range(rounds)
                for turn in _turns(loads, CALLERS, requests, [number * few])
            ]
            one = _turns(loads, 1, few, range(0, rounds * len(documents), few))
        share = grammar_share(engine, calls, rounds)
        description = extractor.engine
    claims = {**_throughput(many), **_overhead(one), "grammar_share": share, **_against_the_loop(many)}
    return {
        "engine": description,
        "documents": len(documents),
        **{name: claim.as_json() for name, claim in claims.items()},
        "processor_ms": _processor_ms(many),
    }


def _arguments() -> argparse.ArgumentParser:
    made = command.parser("pii bench serve", "Ratios of the service to its engine.", "mini/eval.yaml")
    made.add_argument("--documents", type=int, default=64, help="different ones (default: 64)")
    made.add_argument("--rounds", type=int, default=3, help="of all loads in turns (default: 3)")
    made.add_argument("--requests", type=int, default=192, help="of each load (default: 192)")
    return made


def main(argv: list[str] | None = None) -> int:
    """Measure and print JSON; returns 0, or 1 where a claim does not hold."""
    arguments = _arguments().parse_args(argv)

    def body() -> int:
        if min(arguments.documents, arguments.rounds, arguments.requests) <= 0:
            raise ConfigError("documents, rounds and requests have to be above 0")
        config = command.config_of(arguments, EvalConfig)
        name, split = next(iter(config.splits.items()))
        splits, _ = measure.read_splits(config.model_copy(update={"splits": {name: split}}), shipped())
        # What fits one window, so that a text is one answer for every way.
        window = read_manifest(config.extractor.model).window_chars if config.extractor.model else 0
        short = [e.document for e in splits[0].sampled if len(e.document.text) <= window and e.document.spans]
        if not short:
            raise ConfigError(f"splits.{name}: no document with entities of at most {window} code points")
        report = measure_all(config, short[: arguments.documents], arguments.requests, arguments.rounds)
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
        claims = [value for value in report.values() if isinstance(value, dict)]
        return 0 if all(claim.get("holds", True) for claim in claims) else 1

    return command.run(body)


if __name__ == "__main__":
    sys.exit(main())
