"""The books of a build: every line that is written, every row that is refused, counted by what it is."""

from __future__ import annotations

import json
import re
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Self

from configs.atomic import writing
from data_pipeline.preparation import Example
from data_pipeline.readers.files import Refusal
from data_pipeline.splits import Split

SPLITS: tuple[Split, ...] = ("train", "validation", "test", "foreign")
REFUSED = "refused.jsonl"
_ID = re.compile(r"(.*)[:-](\d+)", re.DOTALL)
LENGTHS = (32, 64, 128, 256, 512, 1024, 2048, 4096)
"""Upper bounds, in code points, of the classes of length that are counted."""


class Ledger:
    """Writes the splits and ``refused.jsonl``; the files appear when the block ends without an error."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._files: dict[str, IO[Any]] = {}
        self._refused: dict[str, Counter[str]] = {}
        self._counts: dict[str, dict[str, Counter[str]]] = {split: {} for split in SPLITS}

    def __enter__(self) -> Self:
        for name in [*(f"{split}.jsonl" for split in SPLITS), REFUSED]:
            self._files[name] = self._stack.enter_context(writing(self._folder / name))
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def write(self, split: Split, source: str, example: Example) -> None:
        """One line of a split."""
        self._files[f"{split}.jsonl"].write(example.line + "\n")
        facts, counts = example.facts, self._counts[split]
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

    def refuse(self, source: str, refusal: Refusal) -> None:
        """One row, document or window that was not taken."""
        self._files[REFUSED].write(json.dumps(refusal.as_row(source), ensure_ascii=False) + "\n")
        self._refused.setdefault(source, Counter())[refusal.reason.partition(":")[0]] += 1

    def refuse_document(self, source: str, document_id: str, reason: str) -> None:
        """One document or window by its id, which names its file and line (synthetic ones: their index)."""
        file, line = _place(document_id, source)
        self.refuse(source, Refusal(file, line, reason))

    def refused(self) -> dict[str, dict[str, int]]:
        """Source → reason → how many."""
        return {source: dict(sorted(reasons.items())) for source, reasons in sorted(self._refused.items())}

    def splits(self) -> dict[str, dict[str, Any]]:
        """Split → rows, and their counts by source, language, type, form, carrier, domain, length."""
        return {
            split: {
                "rows": counts.get("rows", Counter()).total(),
                **{kind: _sorted(kind, counter) for kind, counter in counts.items() if kind != "rows"},
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
