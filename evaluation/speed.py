"""`pii eval speed`: how fast are the library, the service and the engine, at several lengths and loads?

    pii eval speed --config configs/mini/eval.yaml --lengths 100 500 2000 --concurrency 1 8 32

One process, one engine. For each length and number of callers the same texts go, one load after the other,

- through the **library** (`Extractor.extract`),
- through **HTTP** (POST /extract on a port of this machine; client and server share the processor),
- to the **engine** alone: the very prompts and grammars that the library made of these texts.

So the three differ by what stands between, and not by the machine's mood. Texts are documents of the recipe's
first split, joined or cut to the length asked for. Memory is of the whole process and its children.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from configs import command
from configs.atomic import writing
from configs.errors import ConfigError
from configs.stage import Stage
from data_pipeline import charts
from evaluation import formats, measure, provenance, roofline
from evaluation.bench import WAYS, Bench, Effort, texts_of
from evaluation.load import watched_memory
from evaluation.recipe import EvalConfig
from evaluation.watched import WatchedEngine
from pii.taxonomy import shipped
from serving.engines.protocol import Engine
from serving.extractor import Extractor

SCHEMA_VERSION = 1
REPORT, PAGE, PLOT = "speed.json", "speed.md", "speed.svg"


def _roofs(config: EvalConfig, engine: WatchedEngine, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The machine as measured, and for each load of the engine how near decoding came to its roof."""
    assert config.extractor.model is not None
    dtype = engine.description.rsplit(", ", 1)[-1]
    weights = roofline.weights_of(config.extractor.model, dtype)
    machine = roofline.measure(weights, dtype)
    return {
        "weights": {"num": weights.num, "bytes": weights.bytes, "dtype": dtype},
        "machine": {
            "device": machine.device,
            "copy_bytes_per_second": round(machine.bytes_per_second),
            "flops_per_second": round(machine.flops_per_second),
        },
        "loads": {
            row["load"]: roofline.share(weights, machine, rows=decoding[0], tokens_per_second=decoding[1])
            for row in rows
            if (decoding := row.get("decoding"))
        },
    }


def measure_all(
    config: EvalConfig,
    documents: Sequence[str],
    lengths: Sequence[int],
    concurrency: Sequence[int],
    effort: Effort,
) -> dict[str, Any]:
    """Open the extractor, run every load, close it; the report without its frame."""
    watched: list[WatchedEngine] = []

    def around(engine: Engine) -> Engine:
        watched.append(WatchedEngine(engine))
        return watched[-1]

    load_before = os.getloadavg()[0]
    with watched_memory() as memory:
        began = time.monotonic()
        with Extractor.open(config.extractor, around) as extractor:
            load_seconds = time.monotonic() - began
            engine = watched[0] if watched else None
            bench = Bench(extractor, engine, effort)
            rows = list(bench.rows({n: texts_of(documents, n) for n in lengths}, concurrency))
            roofs = _roofs(config, engine, rows) if engine and "engine" in effort.ways else None
            description = extractor.engine
    return {
        "engine": description,
        "load_seconds": round(load_seconds, 2),
        "machine_load": [round(load, 2) for load in (load_before, os.getloadavg()[0])],
        "peak_memory_bytes": memory.peak,
        "loads": _by_load(rows),
        "roofline": roofs,
    }


def _by_load(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Load, such as ``500x8``, → way → figures."""
    loads: dict[str, dict[str, Any]] = {}
    for row in rows:
        figures = {name: value for name, value in row.items() if name not in ("load", "way", "decoding")}
        loads.setdefault(row["load"], {})[row["way"]] = figures
    return loads


def evaluate(
    config: EvalConfig, lengths: Sequence[int], concurrency: Sequence[int], effort: Effort
) -> dict[str, Any]:
    """Measure and write the report. Always anew: a time that was measured yesterday says nothing of today."""
    model = config.extractor.model if config.extractor.detectors != "patterns" else None
    facts = provenance.model_facts(model) if model else None
    splits, _ = measure.read_splits(config, shipped())
    stage = Stage("speed", config.output, config, measure.made_from(config, splits, facts))
    stage.begin()
    documents = [entry.document.text for entry in splits[0].sampled]
    report = {
        "schema_version": SCHEMA_VERSION,
        "split": splits[0].name,
        "model": facts,
        **measure_all(config, documents, lengths, concurrency, effort),
        "made": provenance.environment() | {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())},
    }
    with writing(config.output / REPORT) as file:
        json.dump(report, file, ensure_ascii=False, indent=2)
        file.write("\n")
    with writing(config.output / PAGE) as file:
        file.write("\n".join(["# Speed", "", *page(report), ""]))
    with writing(config.output / PLOT) as file:
        file.write(plot(report))
    stage.finish([REPORT, PAGE, PLOT], {"num_loads": len(report["loads"])})
    return report


def _told(load: str) -> str:
    """``500x8`` for a reader."""
    length, callers = load.split("x")
    return f"{int(length):,} chars × {callers}"


def _milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f}"


def page(report: Mapping[str, Any]) -> list[str]:
    """Loads and roofline as Markdown tables."""
    loads = [
        [
            f"{_told(load)}, {way}",
            row["num_requests"],
            *(_milliseconds(row[name]) for name in ("p50_ms", "p95_ms", "p99_ms")),
            f"{row['documents_per_second']:,.2f}",
            f"{row['characters_per_second']:,.0f}",
            f"{row['tokens_per_second']:,.0f}",
            f"{row['prompt_tokens_per_second']:,.0f}",
        ]
        for load, ways in report["loads"].items()
        for way, row in ways.items()
    ]
    before, after = report["machine_load"]
    head = ["length × callers, way", "requests", "p50 ms", "p95 ms", "p99 ms", "docs/s", "chars/s"]
    lines = [
        f"Engine: {report['engine']}; ready after {report['load_seconds']} s; peak memory "
        f"{report['peak_memory_bytes'] / 2**30:.2f} GiB. Processes that wanted a processor: "
        f"{before:.1f} before, {after:.1f} at the end, on {report['made']['machine']['num_cpus']}.",
        "",
        *formats.table([*head, "tokens/s written", "read"], loads),
    ]
    return [*lines, *_roof_lines(report["roofline"])] if report["roofline"] else lines


def _roof_lines(roofs: Mapping[str, Any]) -> list[str]:
    weights, machine = roofs["weights"], roofs["machine"]
    rows = [
        [
            _told(name),
            load["rows"],
            f"{load['tokens_per_second']:,.0f}",
            f"{load['memory_limit']:,.0f}",
            f"{load['compute_limit']:,.0f}",
            load["bound_by"],
            formats.percent(load["share"]),
        ]
        for name, load in roofs["loads"].items()
    ]
    head = ["length × callers", "rows together", "tokens/s decoding", "memory limit", "compute limit"]
    return [
        "",
        "## Roofline",
        "",
        f"{weights['num']:,} weights, {weights['bytes'] / 1e6:,.1f} MB in {weights['dtype']}; the machine "
        f"copies {machine['copy_bytes_per_second'] / 1e9:,.1f} GB/s and computes "
        f"{machine['flops_per_second'] / 1e9:,.1f} GFLOP/s ({machine['device']}).",
        "",
        *formats.table([*head, "bound by", "share of it, %"], rows),
    ]


def plot(report: Mapping[str, Any]) -> str:
    """Documents a second of each way, by length and number of callers, as one SVG."""
    rows = {
        _told(load): {way: charts.Mark(figures["documents_per_second"]) for way, figures in ways.items()}
        for load, ways in report["loads"].items()
    }
    return charts.marks("Documents a second", rows)


def parser() -> argparse.ArgumentParser:
    """The command line of `pii eval speed`."""
    made = command.parser("pii eval speed", "Latency, throughput, memory and roofline.", "mini/eval.yaml")
    made.add_argument("--lengths", type=int, nargs="+", default=[100, 500, 2000], metavar="CHARS")
    made.add_argument("--concurrency", type=int, nargs="+", default=[1, 8, 32], metavar="N", help="callers")
    made.add_argument("--seconds", type=float, default=5.0, help="of each load (default: 5)")
    made.add_argument("--requests", type=int, default=400, help="most of each load (default: 400)")
    made.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="default: all three")
    made.add_argument("-o", "--output", type=Path, metavar="DIR", help="default: beside the recipe's output")
    return made


def config_of(arguments: argparse.Namespace) -> EvalConfig:
    """The recipe with its first split and a folder beside its own. Raises ConfigError: a number below 1."""
    numbers = [*arguments.lengths, *arguments.concurrency, arguments.seconds, arguments.requests]
    if min(numbers) <= 0:
        raise ConfigError("lengths, concurrency, seconds and requests have to be above 0")
    config = command.config_of(arguments, EvalConfig)
    name, split = next(iter(config.splits.items()))
    output = arguments.output or config.output.with_name(f"{config.output.name}-speed")
    return config.model_copy(update={"splits": {name: split}, "output": output, "thresholds": ()})
