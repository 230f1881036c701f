"""Run all recognisers over one text and keep what stands: the room's one entry."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence

from pii.folding import scan
from pii.patterns.addresses import find_addresses
from pii.patterns.columns import find_in_columns
from pii.patterns.emails import find_emails
from pii.patterns.identities import IDENTITIES
from pii.patterns.keys import SECRETS
from pii.patterns.labelled import find_labelled
from pii.patterns.labels import NOT_PERSONAL, table
from pii.patterns.match import Evidence, Match, resolve
from pii.patterns.money import MONEY
from pii.patterns.names import find_names
from pii.patterns.phones import PHONES
from pii.patterns.rewritten import find_rewritten, without_parts_of
from pii.patterns.scanned import Candidate, Scanned
from pii.patterns.shapes import Shape
from pii.patterns.things import OPTIONAL, THINGS
from pii.spans import Span
from pii.taxonomy import shipped

ALWAYS = (*PHONES, *IDENTITIES, *MONEY, *THINGS, *SECRETS)
"""Recognisers that always run: what one marks is not free for another, whether it is asked for or not."""

_LITERALS = sorted({literal for shape in ALWAYS for literal in shape.needs})
_HINTS = re.compile("|".join(map(re.escape, _LITERALS)))
"""One search for what the recognisers that go by a literal need: most texts hold none of it."""

_SPARSE = tuple(shape for shape in ALWAYS if not shape.needs and not shape.dense)
_DENSE = tuple(shape for shape in ALWAYS if not shape.needs and shape.dense)

_CLOSED = (find_emails, find_labelled)
_OPEN = (find_names, find_addresses, find_in_columns)

CONTEXT_REACH = 16
"""How many characters before a value a context word may stand and still vouch for it."""

DIRECT_REACH = 6
"""How many characters may stand between a label and the value that it decides."""


@functools.cache
def known_types() -> tuple[str, ...]:
    """The types that some recogniser finds, in taxonomy order."""
    known = {shape.type for shape in (*ALWAYS, *OPTIONAL)}
    known.update(name for types in table().values() for name in types if name != NOT_PERSONAL)
    return tuple(t.name for t in shipped() if t.name in known)


def find(text: str, types: Sequence[str] | None = None) -> list[Match]:
    """Find the entities that rules can find.

    What a recogniser of a type that was not asked for marks is no entity of another type either, so
    naming fewer types never changes what is found of the others; URL and DATE_TIME are the exception: they
    contain other entities and are looked for only where named.

    Args:
        text: any text, of any length.
        types: names of the taxonomy; None stands for its default types.

    Returns:
        Matches sorted by place, without overlap, offsets of the original text. Where several overlap, a
        checksum beats a label beats a bare shape; then a labelled one wins, the longer, the earlier.
    """
    wanted = frozenset(shipped().default_types if types is None else types)
    scanned = Scanned(scan(text))
    candidates = _read(scanned)
    rewritten = list(find_rewritten(scanned, candidates, _read))
    candidates = [*without_parts_of(rewritten, candidates), *rewritten]
    for shape in OPTIONAL:
        if shape.type in wanted:
            candidates.extend(_by_shape(scanned, shape))
    for finder in _OPEN:
        candidates.extend(finder(scanned))
    return [match for match in resolve(_matches(scanned, candidates)) if match.span.type in wanted]


def _read(scanned: Scanned) -> list[Candidate]:
    """What all recognisers of closed types find."""
    shapes: list[Shape] = []
    if hints := frozenset(_HINTS.findall(scanned.text)):
        shapes.extend(_hinted(hints))
    if scanned.islands:
        shapes.extend(_SPARSE)
    if scanned.dense:
        shapes.extend(_DENSE)
    found = [candidate for shape in shapes for candidate in _by_shape(scanned, shape)]
    for finder in _CLOSED:
        found.extend(finder(scanned))
    return found


@functools.lru_cache(maxsize=1024)
def _hinted(hints: frozenset[str]) -> tuple[Shape, ...]:
    """The recognisers one of whose literals was seen, or may stand across one that was seen."""
    near = {literal for literal in _LITERALS if any(_share(literal, hint) for hint in hints)}
    return tuple(shape for shape in ALWAYS if near.intersection(shape.needs))


def _share(one: str, other: str) -> bool:
    """Whether two literals can stand in one place of a text, so that a search may report only one of them."""
    if one in other or other in one:
        return True
    lengths = range(1, min(len(one), len(other)))
    return any(one[-n:] == other[:n] or other[-n:] == one[:n] for n in lengths)


def _matches(scanned: Scanned, candidates: Iterable[Candidate]) -> Iterator[Match]:
    for c in candidates:
        start, end = scanned.folded.original(c.start, c.end)
        span = Span(start, end, c.type, subtype=c.subtype, source="pattern")
        yield Match(span, c.evidence, c.rule, c.labelled)


def _by_shape(scanned: Scanned, shape: Shape) -> Iterator[Candidate]:
    text = scanned.text
    group = "value" if "value" in shape.pattern.groupindex else 0
    regions = scanned.dense if shape.dense else scanned.islands
    if shape.needs:
        regions = [(0, len(text))] if any(literal in text for literal in shape.needs) else []
    search = shape.pattern.search
    for begin, end in regions:
        position = begin
        while found := search(text, position, end):
            candidate = _judged(scanned, shape, *found.span(group))
            if candidate is None:
                # What was refused may have begun too early: the real value may stand inside.
                position = found.start() + 1
            else:
                position = max(candidate.end, found.start() + 1)
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
