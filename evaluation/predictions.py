"""What a detector said of each document: made in one pass, kept on disk, read again.

``predictions.jsonl`` holds one document a line: split, row of the gold set, offsets and types of every
detector's spans, facts of the answers; never text. ``predictions.meta.json`` beside it says what it was made
from. A changed scorer reads it again instead of asking the model; a changed model, data set, sample, format
or detector makes it anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Protocol

from configs.atomic import writing
from configs.stage import file_hash
from evaluation.gold import GoldDocument
from pii.spans import Span
from serving.answer_facts import AnswerFacts
from serving.extraction import Extraction
from serving.extractor_config import Detectors, ExtractorConfig, Finder

FILE = "predictions.jsonl"
META = "predictions.meta.json"


class Detector(Protocol):
    """The part of `serving.extractor.Extractor` that evaluation needs; peers and fakes have it too."""

    @property
    def engine(self) -> str:
        """Engine, version, device and dtype in one line."""

    def types_of(self, detectors: Finder | None = None) -> tuple[str, ...]:
        """The types that these detectors can find."""

    def check_text(self, text: object) -> str:
        """Raise RequestError where the text cannot be read."""

    def extract_all(
        self,
        texts: Iterable[str],
        types: Iterable[str] | None = None,
        detectors: Detectors | None = None,
    ) -> Iterator[Extraction]:
        """One extraction per text, in order."""

    def close(self) -> None:
        """Give back what it holds."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Everything that was said of one document.

    Attributes:
        split: which set of the evaluation the document is of.
        row: its number in the gold set.
        spans: system → spans; a system that did not run is absent.
        candidates: whatever either detector marked, with its score; empty where there are no scores.
        truncated: ranges of the text that no answer covers.
        num_windows: model calls, before splitting.
        num_ungrounded: values that the model wrote and that stand nowhere in the text.
        answers: one per model call.
    """

    split: str
    row: int
    spans: Mapping[str, tuple[Span, ...]]
    candidates: tuple[Span, ...] = ()
    truncated: tuple[tuple[int, int], ...] = ()
    num_windows: int = 0
    num_ungrounded: int = 0
    answers: tuple[AnswerFacts, ...] = ()

    def as_row(self) -> dict[str, Any]:
        """One line of ``predictions.jsonl``: offsets, types and counts."""
        return {
            "split": self.split,
            "row": self.row,
            "spans": {name: [_span_row(span) for span in spans] for name, spans in self.spans.items()},
            "candidates": [_span_row(span) for span in self.candidates],
            "truncated": [list(place) for place in self.truncated],
            "num_windows": self.num_windows,
            "num_ungrounded": self.num_ungrounded,
            "answers": [list(astuple(answer)) for answer in self.answers],
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Prediction:
        """Read a line of `as_row`."""
        return cls(
            split=row["split"],
            row=row["row"],
            spans={name: tuple(map(_span, spans)) for name, spans in row["spans"].items()},
            candidates=tuple(map(_span, row["candidates"])),
            truncated=tuple((start, end) for start, end in row["truncated"]),
            num_windows=row["num_windows"],
            num_ungrounded=row["num_ungrounded"],
            answers=tuple(AnswerFacts(*answer) for answer in row["answers"]),
        )


def _span_row(span: Span) -> list[Any]:
    row: list[Any] = [span.start, span.end, span.type]
    return row if span.score is None else [*row, round(span.score, 6)]


def _span(row: Sequence[Any]) -> Span:
    return Span(row[0], row[1], row[2], score=row[3] if len(row) > 3 else None)


def systems_of(config: ExtractorConfig) -> tuple[Finder, ...]:
    """Who can be measured, in one pass: what serving returns and all behind it, or the one that looks."""
    if config.detectors != "merged":
        return (config.detectors,)
    return "merged", "model", "patterns", *(() if config.tagger is None else ("tagger",))


def from_extraction(split: str, row: int, extraction: Extraction, systems: Sequence[Finder]) -> Prediction:
    """Take the facts of an extraction.

    Args:
        split: which set the document is of.
        row: its number in the gold set.
        extraction: what the detector returned.
        systems: who is measured.
    """
    every: dict[Finder, tuple[Span, ...]] = {
        "merged": extraction.spans,
        "model": extraction.model_spans,
        "patterns": extraction.pattern_spans,
        "tagger": extraction.tagger_spans,
    }
    return Prediction(
        split=split,
        row=row,
        spans={name: every[name] for name in systems},
        candidates=() if extraction.threshold is None else tuple(c.span for c in extraction.candidates),
        truncated=extraction.truncated,
        num_windows=extraction.num_windows,
        num_ungrounded=extraction.num_ungrounded,
        answers=extraction.answers,
    )


def askable(types: tuple[str, ...] | None, detector: Detector, detectors: Detectors) -> list[str] | None:
    """The labelled types that the detector knows: what it cannot say counts as missed.

    None stands for the default types, of which a detector takes those that it knows.
    """
    if types is None:
        return None
    known = detector.types_of(detectors)
    return [name for name in types if name in known]


def extractions(
    detector: Detector, documents: Sequence[GoldDocument], detectors: Detectors
) -> Iterator[tuple[GoldDocument, Extraction]]:
    """Ask the detector for every document; the order is not that of the file.

    Documents that were labelled for the same types share a pass.
    """
    groups: dict[tuple[str, ...] | None, list[GoldDocument]] = {}
    for entry in documents:
        groups.setdefault(entry.document.types, []).append(entry)
    for types, group in groups.items():
        asked = askable(types, detector, detectors)
        if asked == []:
            found = iter([Extraction()] * len(group))
        else:
            texts = (entry.document.text for entry in group)
            found = detector.extract_all(texts, types=asked, detectors=detectors)
        yield from zip(group, found, strict=True)


def predict(
    detector: Detector, split: str, documents: Sequence[GoldDocument], systems: Sequence[Finder]
) -> Iterator[Prediction]:
    """What the detector says of every document; see `extractions`.

    Args:
        detector: who is asked.
        split: name of the set.
        documents: of it.
        systems: of `systems_of`.
    """
    detectors = systems[0]
    assert detectors != "tagger"
    for entry, extraction in extractions(detector, documents, detectors):
        yield from_extraction(split, entry.row, extraction, systems)


def key(parts: Mapping[str, Any]) -> str:
    """Hash of what predictions depend on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Kept:
    """Predictions and the facts of the run that made them (engine, seconds, date)."""

    predictions: tuple[Prediction, ...]
    facts: Mapping[str, Any]

    def of(self, split: str) -> dict[int, Prediction]:
        """The predictions of one split by the rows of their documents."""
        return {prediction.row: prediction for prediction in self.predictions if prediction.split == split}


def load(folder: Path, wanted: str | None = None) -> Kept | None:
    """Read a folder's predictions; None where there are none, of another key, or changed since."""
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        if wanted is not None and meta["key"] != wanted:
            return None
        if file_hash(folder / FILE) != meta["sha256"]:
            return None
        with (folder / FILE).open(encoding="utf-8") as file:
            rows = tuple(Prediction.from_row(json.loads(line)) for line in file)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Kept(rows, meta["facts"])


def save(folder: Path, made_from: str, kept: Kept) -> None:
    """Write both files; the one that vouches for the other last."""
    (folder / META).unlink(missing_ok=True)
    with writing(folder / FILE) as file:
        for prediction in kept.predictions:
            file.write(json.dumps(prediction.as_row(), ensure_ascii=False, separators=(",", ":")) + "\n")
    meta = {"key": made_from, "sha256": file_hash(folder / FILE), "facts": dict(kept.facts)}
    with writing(folder / META) as file:
        json.dump(meta, file, indent=2)
        file.write("\n")
