"""``pii bench eval``: how long and how much memory reading and scoring a large evaluation take.

    pii bench eval                          100,000 documents with three spans each
    pii bench eval --documents 1000000

Writes made-up gold into a temporary folder, reads it as an evaluation does, and scores planted predictions in
every mode, with every slice and interval, in this one process. The counts that were planted have to come
out. Processor time is what can be compared on a machine that others use too; there set OMP_NUM_THREADS=1,
or threads that wait for each other count as work.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs import command
from configs.errors import ConfigError
from evaluation import formats, gold, scoring
from evaluation.memory import PeakMemory
from evaluation.metrics import Case
from pii.spans import Span
from pii.taxonomy import shipped

DOCUMENTS = 100_000
SECONDS, MEGABYTES = 60.0, 1500.0
"""Bounds of `DOCUMENTS` documents on two cores; processor time stands for the clock."""

_TEXT = "某人说了一些话，然后又写下一个号码和一个地址。" * 8
_STARTS, _LENGTH = (5, 60, 120), 11


@dataclass(frozen=True, slots=True)
class Figures:
    """What one measurement saw; seconds are processor seconds of this process.

    Attributes:
        counts: documents, spans, and how many predictions were planted as right.
        reading_s: gold from its file to documents.
        scoring_s: everything else.
        clock_s: both, by the clock.
        megabytes: most memory at once, the interpreter and its libraries included; None: not to be told.
    """

    counts: Counter[str]
    reading_s: float
    scoring_s: float
    clock_s: float
    megabytes: float | None

    @property
    def holds(self) -> bool:
        """Whether it is within the bounds; memory that cannot be told counts as within."""
        return self.reading_s + self.scoring_s < SECONDS and (self.megabytes or 0) < MEGABYTES


def _row(index: int, generator: random.Random, kinds: list[str]) -> dict[str, Any]:
    entities = [
        {
            "type": generator.choice(kinds),
            "start": start,
            "end": start + _LENGTH,
            "value": _TEXT[start : start + _LENGTH],
        }
        for start in _STARTS
    ]
    return {
        "id": str(index),
        "source": f"source-{index % 5}",
        "language": "zh" if index % 2 else "en",
        "text": _TEXT[: 140 + index % 40],
        "entities": entities,
        "meta": {"form": f"form-{index % 9}"},
    }


def _planted(spans: tuple[Span, ...], generator: random.Random, counts: Counter[str]) -> tuple[Span, ...]:
    """Predictions of which a known number is right: of ten spans one is missed, and some have other ends."""
    predicted = []
    for span in spans:
        if generator.random() < 0.9:
            shift, more = generator.choice((0, 0, 0, 1, 3)), generator.choice((0, 0, 2))
            counts["correct"] += not shift and not more
            predicted.append(Span(span.start + shift, span.end + more, span.type))
    counts["spans"] += len(spans)
    return tuple(predicted)


def measure(num_documents: int, num_resamples: int = 1000) -> Figures:
    """Write, read and score; raises AssertionError where the planted counts do not come out."""
    taxonomy = shipped()
    generator, counts = random.Random(0), Counter(documents=num_documents)
    kinds = [kind.name for kind in taxonomy if kind.default]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gold.jsonl"
        with file.open("w", encoding="utf-8") as rows:
            for index in range(num_documents):
                rows.write(json.dumps(_row(index, generator, kinds), ensure_ascii=False) + "\n")
        memory, clock, began = PeakMemory(), time.perf_counter(), time.process_time()
        read = gold.read(file, taxonomy)
        reading = time.process_time() - began
    cases = [
        Case(entry.document, _planted(entry.document.spans, generator, counts)) for entry in read.documents
    ]
    began = time.process_time()
    report = scoring.score(cases, taxonomy, iou_thresholds=(0.5, 0.75), num_resamples=num_resamples)
    scoring_s = time.process_time() - began
    found = report["strict"]["counts"]
    assert len(cases) == num_documents
    assert found["correct"] == counts["correct"]
    assert report["strict"]["recall"]["value"] == round(counts["correct"] / counts["spans"], 4)
    return Figures(counts, reading, scoring_s, time.perf_counter() - clock, memory.read_mb())


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; returns 0, 1 where a bound is missed, 2 for something to mend."""
    parser = command.parser("pii bench eval", "How long reading and scoring a large evaluation take.")
    parser.add_argument(
        "--documents", type=int, default=DOCUMENTS, metavar="N", help=f"default: {DOCUMENTS:,}"
    )
    arguments = parser.parse_args(argv)

    def body() -> int:
        if arguments.documents < 10:
            raise ConfigError("--documents has to be 10 or more")
        figures = measure(arguments.documents)
        counts = figures.counts
        memory = "–" if figures.megabytes is None else f"{figures.megabytes:,.0f}"
        row = [
            f"{counts['documents']:,}",
            f"{counts['spans']:,}",
            f"{figures.reading_s:.1f}",
            f"{figures.scoring_s:.1f}",
            f"{figures.clock_s:.1f}",
            memory,
        ]
        head = [
            "documents",
            "gold spans",
            "reading, processor s",
            "scoring, processor s",
            "clock s",
            "peak MiB",
        ]
        bound = f"Bounds for {DOCUMENTS:,} documents: {SECONDS:.0f} s and {MEGABYTES:,.0f} MiB."
        sys.stdout.write("\n".join([*formats.table(head, [row]), "", bound, ""]))
        return 0 if arguments.documents > DOCUMENTS or figures.holds else 1

    return command.run(body)


if __name__ == "__main__":
    sys.exit(main())
