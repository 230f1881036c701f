"""Tags: how a sequence labeller says where entities are, one number for each piece of a text.

0 is outside. Each type has two numbers: one for the first piece of an entity, one for its further pieces
(IOB2; Tjong Kim Sang and Veenstra 1999, https://aclanthology.org/E99-1023/).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pii.spans import Span

OUTSIDE = 0


def num_tags(types: Sequence[str]) -> int:
    """How many tags there are for these types."""
    return 1 + 2 * len(types)


def first_tag(number: int) -> int:
    """The tag of the first piece of an entity of the type with this number; the next one is of the others."""
    return 1 + 2 * number


def tags_of(pieces: Iterable[tuple[int, int]], spans: Iterable[Span], types: Sequence[str]) -> list[int]:
    """The tag of every piece of a text.

    Args:
        pieces: where each piece starts and ends, in order.
        spans: the entities, sorted and without overlap, all of the types.
        types: their order numbers them.
    """
    numbers = {name: first_tag(number) for number, name in enumerate(types)}
    rest = iter(spans)
    span, found = next(rest, None), []
    for start, end in pieces:
        while span is not None and span.end <= start:
            span = next(rest, None)
        if span is None or span.start >= end:
            found.append(OUTSIDE)
        else:
            found.append(numbers[span.type] + (start > span.start))
    return found


def spans_of(pieces: Iterable[tuple[int, int]], tags: Iterable[int], types: Sequence[str]) -> list[Span]:
    """The entities that the tags say, sorted and without overlap.

    A further piece that continues nothing of its type begins an entity: a labeller that is unsure of the
    first piece only is right more often than not.
    """
    found: list[Span] = []
    open_type = None
    for (start, end), tag in zip(pieces, tags, strict=True):
        if tag == OUTSIDE:
            open_type = None
            continue
        name = types[(tag - 1) // 2]
        if name == open_type and tag % 2 == 0:
            found[-1] = Span(found[-1].start, end, name)
        else:
            found.append(Span(start, end, name))
        open_type = name
    return found
