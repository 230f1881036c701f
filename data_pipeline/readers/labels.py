"""From a source's labels to our types, and from parts of names and addresses to whole ones.

A label that the card does not know is no reason to guess: it is counted, and the build stops with the
label and its count once the source has been read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from data_pipeline.readers.card import Group, SourceCard
from data_pipeline.readers.offsets import Claim
from pii.spans import Span
from pii.taxonomy import shipped

_NUMBERED = re.compile(r"_\d+$")


class LabelMap:
    """The label map of a card, with a count of every label that it met.

    Attributes:
        met: label → how often, mapped or dropped.
        unknown: label → how often, for labels that the card does not know.
    """

    def __init__(self, card: SourceCard) -> None:
        own = {entity.name: entity.name for entity in shipped()} if card.own_labels else {}
        self._types = {**own, **card.labels}
        self._dropped = card.dropped
        self._groups = {
            label: (whole, group, order)
            for whole, group in card.groups.items()
            for order, label in enumerate(group.parts)
        }
        self._gaps = {
            whole: (re.compile(group.gap), re.compile(group.reversed_gap or group.gap))
            for whole, group in card.groups.items()
        }
        self._trimmed = {kind: re.compile(front) for kind, front in card.trimmed.items()}
        self.met: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()

    def becomes(self, label: str) -> str:
        """What a known label stands for: a type, a part of one, or the reason why it is dropped."""
        if label in self._types:
            return self._types[label]
        if label in self._groups:
            whole, group, _ = self._groups[label]
            alone = group.parts[label]
            return whole if alone == whole else f"{alone}, or part of {whole}"
        return f"dropped: {self._dropped[label]}"

    def spans(self, text: str, claims: Sequence[Claim]) -> tuple[Span, ...]:
        """Proven claims as spans of our types, in order, with neighbouring parts merged."""
        spans: list[Span] = []
        run: list[Claim] = []
        for claim in sorted(claims, key=lambda c: (c.start, c.end)):
            label = claim.label if self._knows(claim.label) else _NUMBERED.sub("", claim.label)
            self.met[label] += 1
            claim = Claim(label, claim.start, claim.end, claim.value)
            if run and not self._continues(text, run[-1], claim):
                spans.append(self._close(run))
                run = []
            if label in self._groups:
                run.append(claim)
            elif label in self._types:
                spans.append(Span(claim.start, claim.end, self._types[label]))
            elif label not in self._dropped:
                self.unknown[label] += 1
        if run:
            spans.append(self._close(run))
        return tuple(sorted(self._trim(text, span) for span in spans))

    def _trim(self, text: str, span: Span) -> Span:
        """The span without the honorific that it begins with."""
        front = self._trimmed.get(span.type)
        found = front.match(text, span.start, span.end) if front else None
        return span if found is None or found.end() >= span.end else replace(span, start=found.end())

    def _knows(self, label: str) -> bool:
        return label in self._types or label in self._groups or label in self._dropped

    def _continues(self, text: str, last: Claim, claim: Claim) -> bool:
        """Whether the claim is the next part of the run that ends with `last`."""
        if claim.label not in self._groups or last.end > claim.start:
            return False
        whole, _, order = self._groups[last.label]
        next_whole, _, next_order = self._groups[claim.label]
        if whole != next_whole:
            return False
        gap = self._gaps[whole][1 if next_order < order else 0]
        return gap.fullmatch(text, last.end, claim.start) is not None

    def _close(self, run: Sequence[Claim]) -> Span:
        """One span for a run of parts: the whole's type if any part reaches it by itself."""
        whole, group, _ = self._groups[run[0].label]
        return Span(run[0].start, run[-1].end, _type_of(whole, group, [claim.label for claim in run]))


def _type_of(whole: str, group: Group, labels: Sequence[str]) -> str:
    alone = [group.parts[label] for label in labels]
    # A city and a state are a place; with a street or a postcode among them they are an address.
    return whole if whole in alone else alone[0]
