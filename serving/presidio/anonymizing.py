"""Presidio's anonymizer: results of an analyzer and operators in, text and items out.

The rules for results that overlap are Presidio's, written anew in linear time: a request may hold a hundred
thousand results. Tests compare with Presidio's own engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pii.errors import RequestError
from serving.presidio.operators import Operator

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """One result of an analyzer; `start` and `end` are code points, and may be equal."""

    start: int
    end: int
    type: str
    score: float | None = None


def without_conflicts(text: str, results: Iterable[Result]) -> list[Result]:
    """What is left of results that overlap, by place.

    Results of one type that touch become one, with the highest of their scores. What lies inside another is
    dropped; of equal places the highest score stays, then the later. Neighbours of one type with spaces
    between them become one.
    """
    standing = _outermost(_merged_by_type(sorted(results, key=lambda r: (r.start, r.end))))
    joined: list[Result] = []
    for result in standing:
        before = joined[-1] if joined else None
        if before and before.type == result.type and re.fullmatch(" +", text[before.end : result.start]):
            joined[-1] = replace(result, start=before.start)
        else:
            joined.append(result)
    return joined


def _merged_by_type(results: Iterable[Result]) -> list[Result]:
    """Results of one type that touch, united; each stands where the last of its parts stood."""
    last: dict[str, tuple[int, Result]] = {}
    kept: list[tuple[int, Result]] = []
    for position, result in enumerate(results):
        place, current = last.get(result.type, (position, result))
        if position != place and min(current.end, result.end) > max(current.start, result.start):
            united = Result(
                current.start,
                max(current.end, result.end),
                result.type,
                max(current.score or 0.0, result.score or 0.0),
            )
            last[result.type] = position, united
            continue
        if position != place:
            kept.append((place, current))
        last[result.type] = position, result
    kept.extend(last.values())
    return [result for _, result in sorted(kept, key=lambda item: item[0])]


def _outermost(results: Sequence[Result]) -> list[Result]:
    order = sorted(range(len(results)), key=lambda i: (results[i].start, -results[i].end))
    kept: dict[tuple[int, int], int] = {}
    reached = -1
    for index in order:
        result = results[index]
        place = result.start, result.end
        if place in kept:
            if (result.score or 0.0, index) > (results[kept[place]].score or 0.0, kept[place]):
                kept[place] = index
        elif result.end > reached:
            kept[place] = index
            reached = result.end
    return [results[index] for index in sorted(kept.values())]


def operate(text: str, results: Iterable[Result], operators: Mapping[str, tuple[str, Operator]]) -> Item:
    """Put in the place of each result what its operator makes of it.

    Args:
        text: the text.
        results: in any order; where two overlap, the first ends where the second starts.
        operators: entity type, or ``DEFAULT`` → name and operator.

    Returns Presidio's answer: ``text``, and ``items`` from the last to the first.
    Raises RequestError: a result lies outside the text, or an operator cannot read its value.
    """
    ordered = sorted(results, key=lambda r: (r.start, r.end))
    pieces: list[str] = []
    items: list[Item] = []
    copied = written = 0
    for index, result in enumerate(ordered):
        if result.end > len(text):
            raise RequestError("outside_text", "analyzer_results", "a result ends behind the text")
        name, operator = operators.get(result.type) or operators["DEFAULT"]
        new = operator(text[result.start : result.end], result.type)
        pieces += [text[copied : result.start], new]
        written += result.start - copied
        items.append(
            {
                "start": written,
                "end": written + len(new),
                "entity_type": result.type,
                "text": new,
                "operator": name,
                "score": result.score,
            }
        )
        written += len(new)
        following = ordered[index + 1].start if index + 1 < len(ordered) else len(text)
        copied = min(result.end, following)
    pieces.append(text[copied:])
    return {"text": "".join(pieces), "items": items[::-1]}
