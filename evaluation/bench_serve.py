"""`pii bench serve`: what the service costs over its engine, and gains over the usual loop, in one run.

    pii bench serve --config configs/mini/eval.yaml

One process, one engine, the same documents, one load after the other:

- POST /extract by 32 callers against the engine alone with the very prompts and grammars: at least 90 %;
- the same by one caller: the median is at most 15 ms plus 5 % longer;
- compiling a grammar, masking and following it for every token, against the engine's time for that answer:
under 10 %; - documents a second against an unbatched ``model.generate`` loop without a grammar that writes
as many tokens as the
  right answers with offsets have, as published examples of this task do: at least 10 times.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from configs import command
from configs.errors import ConfigError
from evaluation import measure
from evaluation.bench import Bench, Effort
from evaluation.recipe import EvalConfig
from evaluation.watched import Call, WatchedEngine, service
from pii import codec
from pii.model_folder import read_manifest
from pii.spans import Document
from pii.taxonomy import shipped
from serving.engines.grammars import Grammars
from serving.engines.protocol import Engine
from serving.extractor import Extractor

CALLERS = 32


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


def through_the_service(bench: Bench, texts: Sequence[str]) -> tuple[dict[str, Claim], float]:
    """Throughput and overhead of HTTP over the engine; and documents a second over HTTP."""
    calls = bench.calls_of(texts)
    length = round(sum(map(len, texts)) / len(texts))
    rows = {}
    with service(bench.extractor) as address:
        for callers in (CALLERS, 1):
            for way, asked in (("http", texts), ("engine", calls)):
                rows[way, callers] = bench.row(way, asked, length, callers, address)
    served, raw = (rows[way, CALLERS]["documents_per_second"] for way in ("http", "engine"))
    slow, quick = (rows[way, 1]["p50_ms"] for way in ("http", "engine"))
    claims = {
        "throughput_of_engine": Claim(served / raw, 0.9, at_least=True),
        "p50_overhead_ms": Claim(slow - quick, 15 + 0.05 * quick, at_least=False),
    }
    return claims, served


def grammar_share(bench: Bench, documents: Sequence[Document], folder: Path) -> Claim:
    """Median share of the grammar in the engine's time for one answer, replayed beside it."""
    from llguidance.hf import from_tokenizer
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    view = from_tokenizer(tokenizer, eos_token=tokenizer.convert_tokens_to_ids(codec.TURN_END))
    shares = []
    for document in documents:
        ids = tokenizer(
            codec.render(document.text, document.spans), add_special_tokens=False, split_special_tokens=True
        )["input_ids"]
        prompt = codec.encode(tokenizer, codec.prompt(document.text), answer_next=True)[0]
        grammar = codec.grammar(document.text, shipped().default_types)
        # A new one each time: nothing is at hand, as for a text that was never seen.
        began = time.perf_counter()
        matcher, _ = Grammars(view).matcher(grammar)
        for token in ids:
            matcher.compute_logit_bias()
            if not matcher.consume_token(token):
                break
        spent = time.perf_counter() - began
        call = Call(tuple(prompt), None, len(ids))
        shares.append(spent / _seconds(bench, call) if ids else 0.0)
    return Claim(median(shares), 0.1, at_least=False)


def _seconds(bench: Bench, call: Call) -> float:
    """Of one answer of so many tokens, without a grammar."""
    timing = bench.row("engine", [[call]], 1, 1, "")
    return float(timing["p50_ms"]) / 1000


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
        count = len(tokenizer(answer, add_special_tokens=False, split_special_tokens=True)["input_ids"])
        prompt = codec.encode(tokenizer, codec.prompt(document.text), answer_next=True)[0]
        ids = torch.tensor([prompt], device=device)
        with torch.inference_mode():
            made = model.generate(ids, do_sample=False, min_new_tokens=count, max_new_tokens=count)
        assert made.shape[1] == len(prompt) + count
        done += 1
    return done / (time.perf_counter() - began)


def measure_all(config: EvalConfig, documents: Sequence[Document], effort: Effort) -> dict[str, Any]:
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
        claims, served = through_the_service(bench, [document.text for document in documents])
        once = Bench(extractor, watched[0], Effort(effort.seconds, 1))
        claims["grammar_share"] = grammar_share(once, documents, folder)
        description = extractor.engine
    loop = usual_loop(documents, folder, effort.seconds)
    claims["times_the_usual_loop"] = Claim(served / loop, 10.0, at_least=True)
    return {"engine": description, "documents": len(documents), **_as_json(claims)}


def _as_json(claims: Mapping[str, Claim]) -> dict[str, Any]:
    return {name: claim.as_json() for name, claim in claims.items()}


def _arguments() -> argparse.ArgumentParser:
    made = command.parser("pii bench serve", "Ratios of the service to its engine.", "mini/eval.yaml")
    made.add_argument("--documents", type=int, default=24, help="different ones (default: 24)")
    made.add_argument("--seconds", type=float, default=10.0, help="of each load (default: 10)")
    made.add_argument("--requests", type=int, default=2000, help="most of each load (default: 2000)")
    return made


def main(argv: list[str] | None = None) -> int:
    """Measure and print JSON; returns 0, or 1 where a claim does not hold."""
    arguments = _arguments().parse_args(argv)

    def body() -> int:
        if min(arguments.documents, arguments.seconds, arguments.requests) <= 0:
            raise ConfigError("documents, seconds and requests have to be above 0")
        config = command.config_of(arguments, EvalConfig)
        name, split = next(iter(config.splits.items()))
        splits, _ = measure.read_splits(config.model_copy(update={"splits": {name: split}}), shipped())
        # What fits one window, so that a text is one answer for every way.
        window = read_manifest(config.extractor.model).window_chars if config.extractor.model else 0
        short = [e.document for e in splits[0].sampled if len(e.document.text) <= window and e.document.spans]
        if not short:
            raise ConfigError(f"splits.{name}: no document with entities of at most {window} code points")
        effort = Effort(arguments.seconds, arguments.requests)
        report = measure_all(config, short[: arguments.documents], effort)
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
        claims = [value for value in report.values() if isinstance(value, dict)]
        return 0 if all(claim["holds"] for claim in claims) else 1

    return command.run(body)


if __name__ == "__main__":
    sys.exit(main())
