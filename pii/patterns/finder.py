"""Run all recognisers over one text and keep what stands: the room's one entry."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence

from pii.folding import scan
from pii.patterns.addresses import find_addresses
from pii.patterns.columns import find_in_columns, find_inserted
from pii.patterns.emails import find_emails
from pii.patterns.labelled import find_labelled
from pii.patterns.labels import NOT_PERSONAL, table
from pii.patterns.match import Match, resolve
from pii.patterns.names import find_names, titles
from pii.patterns.rewritten import find_rewritten, without_parts_of
from pii.patterns.scanned import Candidate, Scanned
from pii.patterns.shaped import ALWAYS, LITERALS, by_shape, find_shaped
from pii.patterns.sieve import EVERY, LABELS, LAYOUT, SHAPES, WORDING, blocks, sieved
from pii.patterns.things import OPTIONAL
from pii.patterns.vocabulary import Vocabulary
from pii.spans import Span
from pii.taxonomy import shipped


@functools.cache
def vocabulary() -> Vocabulary:
    """All words that any recogniser goes by."""
    return Vocabulary((*table(), *titles(), *LITERALS))


@functools.cache
def known_types() -> tuple[str, ...]:
    """The types that some recogniser finds, in taxonomy order."""
    known = {shape.type for shape in (*ALWAYS, *OPTIONAL)}
    known.update(name for types in table().values() for name in types if name != NOT_PERSONAL)
    return tuple(t.name for t in shipped() if t.name in known)


def find(text: str, types: Sequence[str] | None = None, kinds: int | None = None) -> list[Match]:
    """Find the entities that rules can find.

    What a recogniser of a type that was not asked for marks is no entity of another type either, so
    naming fewer types never changes what is found of the others; URL and DATE_TIME are the exception: they
    contain other entities and are looked for only where named.

    Args:
        text: any text, of any length.
        types: names of the taxonomy; None stands for its default types.
        kinds: what `sifted` says of the text; None: that is found out here.

    Returns:
        Matches sorted by place, without overlap, offsets of the original text. Where several overlap, a
        checksum beats a label beats a bare shape; then a labelled one wins, the longer, the earlier.
    """
    if kinds is None:
        ((_, kinds),) = sifted((text,), types)
    if not kinds:
        return []
    wanted = _wanted(None if types is None else tuple(types))
    scanned = Scanned(scan(text), vocabulary())
    candidates = _read(scanned, kinds)
    if kinds & LAYOUT:
        rewritten = list(find_rewritten(scanned, candidates, _read))
        candidates = [*without_parts_of(rewritten, candidates), *rewritten]
    for shape in OPTIONAL:
        if shape.type in wanted:
            candidates.extend(by_shape(scanned, shape))
    if kinds & (LABELS | WORDING):
        candidates.extend(find_names(scanned))
        candidates.extend(find_addresses(scanned))
    if kinds & LABELS:
        candidates.extend(find_in_columns(scanned))
        candidates.extend(find_inserted(scanned))
    if not candidates:
        return []
    return [match for match in resolve(_matches(scanned, candidates)) if match.span.type in wanted]


def sifted(texts: Iterable[str], types: Sequence[str] | None = None) -> Iterator[tuple[str, int]]:
    """Many texts, each with what it may hold (`pii.patterns.sieve`), for `find` of the same types.

    So many texts take a fraction of the time that they take one by one. Where a text may hold 0, nothing is
    found in it. Texts are asked for ahead, up to `pii.patterns.sieve.MAX_CHARS`.
    """
    wanted = _wanted(None if types is None else tuple(types))
    if any(shape.type in wanted for shape in OPTIONAL):
        # Nearly every text may hold a date or an address of the web.
        yield from ((text, EVERY) for text in texts)
        return
    for block in blocks(texts):
        yield from zip(block, sieved(block), strict=True)


@functools.lru_cache(maxsize=64)
def _wanted(types: tuple[str, ...] | None) -> frozenset[str]:
    return frozenset(shipped().default_types if types is None else types)


def _read(scanned: Scanned, kinds: int = EVERY) -> list[Candidate]:
    """What all recognisers of closed types find."""
    candidates: list[Candidate] = []
    if kinds & SHAPES:
        candidates.extend(find_shaped(scanned))
        candidates.extend(find_emails(scanned))
    if kinds & LABELS:
        candidates.extend(find_labelled(scanned))
    return candidates


def _matches(scanned: Scanned, candidates: Iterable[Candidate]) -> Iterator[Match]:
    for c in candidates:
        start, end = scanned.folded.original(c.start, c.end)
        span = Span(start, end, c.type, subtype=c.subtype, source="pattern")
        yield Match(span, c.evidence, c.rule, c.labelled)
