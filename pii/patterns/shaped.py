"""Candidates by shape: what stands where a row of a table leads, weighed by its check and labels near it."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

from pii.patterns.identities import IDENTITIES
from pii.patterns.keys import SECRETS
from pii.patterns.labels import NOT_PERSONAL
from pii.patterns.match import Evidence
from pii.patterns.money import MONEY
from pii.patterns.phones import PHONES
from pii.patterns.regions import TOKEN, Region
from pii.patterns.relaxed import relaxed
from pii.patterns.scanned import Candidate, Scanned
from pii.patterns.shapes import Shape
from pii.patterns.things import THINGS
from pii.patterns.vocabulary import spaced

ALWAYS = (*PHONES, *IDENTITIES, *MONEY, *THINGS, *SECRETS)
"""Recognisers that always run: what one marks is not free for another, whether it is asked for or not."""

_BY_LITERAL = tuple(shape for shape in ALWAYS if shape.needs)
_BY_RUN = tuple(shape for shape in ALWAYS if shape.digits)
_BY_TOKEN = tuple(shape for shape in ALWAYS if shape.token)
_ELSEWHERE = tuple(shape for shape in ALWAYS if not (shape.needs or shape.digits or shape.token))

_BY_WORD: dict[str, list[Shape]] = {}
"""Literal as the vocabulary has it → the recognisers that go by it."""
for _shape in _BY_LITERAL:
    for _literal in _shape.needs:
        _BY_WORD.setdefault(spaced(_literal.lower()), []).append(_shape)

LITERALS = tuple(_BY_WORD)

CONTEXT_REACH = 16
"""How many characters before a value a context word may stand and still vouch for it."""

DIRECT_REACH = 6
"""How many characters may stand between a label and the value that it decides."""


def find_shaped(scanned: Scanned) -> Iterator[Candidate]:
    """What the recognisers that always run find."""
    words = {place.word for place in scanned.places if place.word in _BY_WORD}
    for shape in dict.fromkeys(shape for word in sorted(words) for shape in _BY_WORD[word]):
        yield from by_shape(scanned, shape)
    regions = scanned.regions
    if not regions.islands:
        return
    for shape in _ELSEWHERE:
        if not shape.marks or any(mark in scanned.text for mark in shape.marks):
            yield from _in_regions(scanned, shape, regions.islands)
    for shape in _BY_TOKEN if regions.tokens() else ():
        yield from _in_regions(scanned, shape, regions.tokens())
    yield from _in_runs(scanned)


def anywhere(*, starred: bool) -> Iterator[str]:
    """What stands in every text in which `find_shaped` finds something, for `pii.patterns.sieve`.

    Args:
        starred: for the recognisers of what needs a star somewhere in the text, or for the others.
    """
    for shape in ALWAYS:
        if (shape.marks == "*") == starred:
            yield relaxed(TOKEN if shape.token else shape.core or shape.pattern)


def by_shape(scanned: Scanned, shape: Shape) -> Iterator[Candidate]:
    """What one recogniser that goes by literals finds."""
    text = scanned.text
    if any(literal in text for literal in shape.needs):
        yield from _in_regions(scanned, shape, (Region(0, len(text), len(text)),))


def _in_regions(scanned: Scanned, shape: Shape, regions: Iterable[Region]) -> Iterator[Candidate]:
    for region in regions:
        yield from _in_region(scanned, shape, region, region.begin)


def _in_runs(scanned: Scanned) -> Iterator[Candidate]:
    done: dict[str, int] = {}
    for run in scanned.regions.runs():
        for shape in _of_digits(run.num_digits, run.longest):
            # A value may have reached into this run, as an extension does.
            position = max(run.region.begin, done.get(shape.rule, 0))
            for candidate in _in_region(scanned, shape, run.region, position):
                done[shape.rule] = candidate.end
                yield candidate


@functools.lru_cache(maxsize=1024)
def _of_digits(num_digits: int, longest: int) -> tuple[Shape, ...]:
    return tuple(s for s in _BY_RUN if s.digits <= num_digits and s.in_a_row <= longest)


def _in_region(scanned: Scanned, shape: Shape, region: Region, position: int) -> Iterator[Candidate]:
    """What one recogniser finds in a region from a position on."""
    text, (_, stop, end) = scanned.text, region
    search = shape.pattern.search
    while (found := search(text, position, end)) and found.start() < stop:
        candidate = _judged(scanned, shape, *found.span(shape.group))
        if candidate is None:
            # What was refused may have begun too early: the real value may stand inside.
            position = found.start() + 1
        else:
            position = candidate.end
            yield candidate


def _judged(scanned: Scanned, shape: Shape, start: int, end: int) -> Candidate | None:
    """Weigh one candidate: its verdict, the labels around it, what its shape needs."""
    text, labels = scanned.text, scanned.labels
    verdict = shape.verdict(text[start:end])
    while verdict.valid is False and shape.narrow and (shorter := _without_last_group(text, start, end)):
        end = shorter
        verdict = shape.verdict(text[start:end])
    near = labels.near(start, end, shape.type, CONTEXT_REACH)
    direct = labels.before(start, DIRECT_REACH)
    announced = direct.types if direct else ()
    labelled = shape.type in announced
    # Another type's label stands before it: only a strong checksum is believed against that.
    unopposed = labelled or not announced or not set(shape.kin).isdisjoint(announced)
    holds = verdict.valid is True and (shape.strong or unopposed)
    if NOT_PERSONAL in announced and not labelled and not holds:
        return None
    if near:
        enough = verdict.valid is not False or verdict.subtype is not None
    elif shape.alone == "shape":
        # A failing check digit may be a typo: where a shape is distinctive it is still personal.
        enough = verdict.valid is not False or (shape.strong and verdict.subtype is not None)
    else:
        enough = shape.alone == "checksum" and holds
    if not enough:
        return None
    evidence: Evidence = "checksum" if holds else "context" if near else "shape"
    return Candidate(start, end, shape.type, shape.rule, evidence, verdict.subtype, labelled)


def _without_last_group(text: str, start: int, end: int) -> int | None:
    """Where a grouped value ends without its last group; None where it has only one."""
    shorter = end
    while shorter > start and text[shorter - 1].isalnum():
        shorter -= 1
    while shorter > start and not text[shorter - 1].isalnum():
        shorter -= 1
    return shorter if shorter > start else None
