"""The books of a build: every line that is written, every row that is refused, counted by what it is."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import IO, Any, Self

from configs.atomic import writing
from data_pipeline.preparation import Example, Facts
from data_pipeline.readers.files import Refusal
from data_pipeline.recipe import OutputConfig
from data_pipeline.shards import SplitWriter
from data_pipeline.splits import Split

SPLITS: tuple[Split, ...] = ("train", "validation", "test", "foreign")
REFUSED = "refused.jsonl"
CELLS = "cells.csv"
"""Examples with values by split, carrier, form and entity type: what came of the form matrix."""
NUM_SHOWN = 50
"""Examples of the training split that the data card shows."""
_ID = re.compile(r"(.*)[:-](\d+)", re.DOTALL)
LENGTHS = (32, 64, 128, 256, 512, 1024, 2048, 4096)
"""Upper bounds, in code points, of the classes of length that are counted."""


class Ledger:
    """Writes the splits, ``refused.jsonl`` and ``cells.csv``; the files appear when the block ends well.

    Args:
        folder: the data set's folder.
        output: how the training split is laid out; the others are one file of JSON lines each.
        seed: decides which examples are shown.

    Attributes:
        shown: lines of training examples for a reader, drawn evenly from all of them.
    """

    def __init__(self, folder: Path, output: OutputConfig, seed: int) -> None:
        self._folder, self._output = folder, output
        self._stack = ExitStack()
        self._splits: dict[str, SplitWriter] = {}
        self._refusals: IO[Any]
        self._refused: dict[str, Counter[str]] = {}
        self._counts: dict[str, dict[str, Counter[str]]] = {split: {} for split in SPLITS}
        self._forms: dict[str, dict[str, Counter[str]]] = {split: {} for split in SPLITS}
        self._cells: Counter[tuple[str, ...]] = Counter()
        self._rng = Random(f"{seed}:shown")
        self._num_labelled = 0
        self.shown: list[str] = []

    def __enter__(self) -> Self:
        for split in SPLITS:
            output = self._output if split == "train" else OutputConfig()
            writer = SplitWriter(self._folder, split, file_format=output.format, shard_rows=output.shard_rows)
            self._splits[split] = self._stack.enter_context(writer)
        self._refusals = self._stack.enter_context(writing(self._folder / REFUSED))
        return self

    def __exit__(self, *error: Any) -> None:
        if error[0] is None:
            self._write_cells()
        self._stack.__exit__(*error)

    def files(self) -> list[str]:
        """Names of the files that were written."""
        return [*(name for writer in self._splits.values() for name in writer.names), REFUSED, CELLS]

    def write(self, split: Split, source: str, example: Example) -> None:
        """One line of a split."""
        self._splits[split].write(example.line)
        self._count(split, source, example.facts)
        if split == "train" and example.facts.asks != "chat":
            self._show(example.line)

    def _count(self, split: Split, source: str, facts: Facts) -> None:
        counts = self._counts[split]
        for kind, value in (
            ("source", source),
            ("language", facts.language),
            ("asks", facts.asks),
            ("form", facts.form),
            ("carrier", facts.carrier),
            ("domain", facts.domain),
            ("chars", _length_class(facts.num_chars)),
            ("entities", str(len(facts.types)) if facts.asks != "chat" else ""),
        ):
            if value:
                counts.setdefault(kind, Counter())[value] += 1
        counts.setdefault("rows", Counter())["all"] += 1
        counts.setdefault("type", Counter()).update(facts.types)
        if facts.form_types:
            self._forms[split].setdefault(facts.carrier, Counter())[facts.form] += 1
            self._cells.update((split, facts.carrier, facts.form, name) for name in facts.form_types)

    def _show(self, line: str) -> None:
        """Keep an even sample of all lines so far (J. Vitter, "Random sampling with a reservoir", 1985)."""
        self._num_labelled += 1
        if len(self.shown) < NUM_SHOWN:
            self.shown.append(line)
        elif (place := int(self._rng.random() * self._num_labelled)) < NUM_SHOWN:
            self.shown[place] = line

    def _write_cells(self) -> None:
        with writing(self._folder / CELLS) as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(("split", "carrier", "form", "type", "examples"))
            table.writerows((*cell, count) for cell, count in sorted(self._cells.items()))

    def refuse(self, source: str, refusal: Refusal) -> None:
        """One row, document or window that was not taken."""
        self._refusals.write(json.dumps(refusal.as_row(source), ensure_ascii=False) + "\n")
        self._refused.setdefault(source, Counter())[refusal.reason.partition(":")[0]] += 1

    def refuse_document(self, source: str, document_id: str, reason: str) -> None:
        """One document or window by its id, which names its file and line (synthetic ones: their index)."""
        file, line = _place(document_id, source)
        self.refuse(source, Refusal(file, line, reason))

    def refused(self) -> dict[str, dict[str, int]]:
        """Source → reason → how many."""
        return {source: dict(sorted(reasons.items())) for source, reasons in sorted(self._refused.items())}

    def splits(self) -> dict[str, dict[str, Any]]:
        """Split → rows, and their counts by source, language, type, form, carrier, domain, length.

        ``cells``: carrier → form → examples that hold values in that form.
        """
        return {
            split: {
                "rows": counts.get("rows", Counter()).total(),
                **{kind: _sorted(kind, counter) for kind, counter in counts.items() if kind != "rows"},
                "cells": {carrier: _sorted("form", c) for carrier, c in sorted(self._forms[split].items())},
            }
            for split, counts in self._counts.items()
        }


def _place(document_id: str, source: str) -> tuple[str, int]:
    """``msra/train.bio.gz:17`` → (``train.bio.gz``, 17); ``synthetic-17`` → (``synthetic``, 17)."""
    found = _ID.fullmatch(document_id.removeprefix(f"{source}/"))
    return (found[1], int(found[2])) if found else (document_id, 0)


def _length_class(num_chars: int) -> str:
    return next((f"<={bound}" for bound in LENGTHS if num_chars <= bound), f">{LENGTHS[-1]}")


def _sorted(kind: str, counter: Counter[str]) -> dict[str, int]:
    """Numbers and classes of length in their own order, names by how often they stand."""
    if kind in ("chars", "entities"):
        return dict(sorted(counter.items(), key=lambda item: int(item[0].lstrip("<=>"))))
    return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))
