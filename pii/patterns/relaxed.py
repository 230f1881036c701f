"""A regular expression of Python's as one of RE2's that matches wherever the first one does, if not more.

RE2 (https://github.com/google/re2) reads a text of news at 600 MB/s whatever the expression is, but knows
neither lookaround nor backreferences. What it does not know is left out here, so that the relaxed expression
can only match more: where it does not match, no time need be spent on the exact one. Only *that* something
stands in a text counts, so the end of an expression is cut to the least that it needs.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

import re2

from pii.patterns.labels import trie_pattern

MAX_MEMORY = 32 << 20
"""Bytes that RE2 may keep for one expression; where they are full it begins anew, still in linear time."""

_Ranges = list[tuple[int, int]]
"""Code points as (first, last)."""

_LAST = 0x10FFFF
_SPACES = [(code, code) for code in range(0x3001) if chr(code).isspace()]
_BEYOND_ASCII = (0x80, _LAST)
_DIGITS = [(0x30, 0x39), _BEYOND_ASCII]
_WORD = [*_DIGITS, (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)]
_FURTHER_CASES = {"i": "ıİ", "k": "\N{KELVIN SIGN}", "s": "ſ"}
"""What `re.IGNORECASE` takes for an ASCII letter beside its two cases."""

_MANY = 40
"""A part that has to come more often than this need come only so often: RE2 writes each one out."""

_FEW = 3
"""A part that may come more often than this, and than it has to, may come for ever: each number would be a
state of the automaton, together with all that may stand beside it."""

_REPEATS = (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT)

_Node = tuple[Any, Any]


@functools.cache
def relaxed(pattern: str | re.Pattern[str], *, to_end: bool = False, ignore_case: bool = False) -> str:
    """RE2's text of an expression that matches, at least, where `pattern` does.

    Args:
        pattern: the expression.
        to_end: whether something will be written behind it, so that its end has to stay.
        ignore_case: whether it is matched against a text in lower case, and this one against the original.

    It is written for bytes (`compiled`): alternatives that share their first bytes then are one state of the
    automaton, of which a thousand Chinese words would make a thousand.

    Raises ValueError: it has a part that nobody has thought of here.
    """
    compiled = re.compile(pattern)
    tree = _parser.parse(compiled.pattern, compiled.flags)
    flags = compiled.flags | (re.IGNORECASE if ignore_case else 0)
    return f"(?:{_Relaxing().sequence(list(tree), flags, cut=not to_end)})"


class _Relaxing:
    """One expression on its way; knows its groups, which may be referred to."""

    def __init__(self) -> None:
        self._groups: dict[int, str] = {}

    def sequence(self, nodes: Sequence[_Node], flags: int, *, cut: bool) -> str:
        """Nodes one behind the other; `cut`: nothing follows, so that what may be empty at the end goes."""
        nodes = list(nodes)
        while cut and nodes and _may_be_empty(nodes[-1]):
            nodes.pop()
        parts: list[str] = []
        excluded: _Ranges = []
        for index, node in enumerate(nodes):
            if (chars := _chars(node, flags)) is not None:
                parts.append(_class(_complement([*_complement(chars), *excluded])))
                excluded = []
            elif not excluded and index + 1 < len(nodes) and (barred := _barred(node, flags)):
                # A character of a class, but for those of another: (?![年月])[\u4e00-\u9fff].
                excluded = barred if _chars(nodes[index + 1], flags) is not None else []
            else:
                parts.append(self._node(node, flags, cut=cut and index == len(nodes) - 1))
        return "".join(parts)

    def _node(self, node: _Node, flags: int, *, cut: bool) -> str:
        kind, value = node
        if kind is op.BRANCH:
            return _either(self.sequence(branch, flags, cut=cut) for branch in value[1])
        if kind is op.SUBPATTERN:
            return self._group(value, flags, cut=cut)
        if kind is op.ATOMIC_GROUP:
            return f"(?:{self.sequence(value, flags, cut=cut)})"
        if kind in _REPEATS:
            return self._repeat(value, flags, cut=cut)
        if kind is op.ASSERT:
            seen = self.sequence(value[1], flags, cut=True)
            # What has to follow stands in the text; at the end there is nothing that could overlap with it.
            return f"(?:{seen})" if cut and value[0] > 0 else ""
        if kind is op.ASSERT_NOT:
            return ""
        if kind is op.AT:
            return "\\n?" if value is op.AT_END else ""
        if kind is op.GROUPREF:
            return self._groups[value]
        if kind is op.GROUPREF_EXISTS:
            return _either(self.sequence(branch or (), flags, cut=cut) for branch in value[1:])
        raise ValueError(f"no relaxed form of {kind}")

    def _group(self, value: Any, flags: int, *, cut: bool) -> str:
        number, added, removed, nodes = value
        flags = (flags | added) & ~removed
        if number is not None:
            self._groups[number] = f"(?:{self.sequence(nodes, flags, cut=False)})"
        return f"(?:{self.sequence(nodes, flags, cut=cut)})"

    def _repeat(self, value: Any, flags: int, *, cut: bool) -> str:
        fewest, most, nodes = value
        part = f"(?:{self.sequence(nodes, flags, cut=False)})"
        most = fewest if cut else most
        ends = most <= _FEW or fewest == most <= _MANY
        return f"{part}{{{min(fewest, _MANY)},{most if ends else ''}}}"


def _either(branches: Iterable[str]) -> str:
    return f"(?:{'|'.join(branches)})"


def _may_be_empty(node: _Node) -> bool:
    kind, value = node
    if kind in _REPEATS:
        return bool(value[0] == 0)
    if kind is op.SUBPATTERN:
        return all(_may_be_empty(inner) for inner in value[3])
    return kind in (op.ASSERT_NOT, op.AT) or (kind is op.ASSERT and value[0] < 0)


def _barred(node: _Node, flags: int) -> _Ranges | None:
    """The characters that must not come next, where a lookahead says only that."""
    kind, value = node
    if kind is not op.ASSERT_NOT or value[0] < 0 or len(value[1]) != 1 or flags & re.IGNORECASE:
        return None
    return _chars(value[1][0], flags)


def _chars(node: _Node, flags: int) -> _Ranges | None:
    """The characters that a node of one character may match, at least; None for another node."""
    kind, value = node
    if kind is op.ANY:
        return [(0, _LAST)]
    if kind is op.NOT_LITERAL:
        return _complement([(value, value)])
    if kind is op.LITERAL:
        kind, value = op.IN, [(op.LITERAL, value)]
    if kind is not op.IN:
        return None
    negated = value[0][0] is op.NEGATE
    ranges: _Ranges = []
    for kind, part in value[negated:]:
        if kind is op.CATEGORY:
            ranges += _category(part, negated=negated)
        else:
            ranges.append(part if kind is op.RANGE else (part, part))
    if negated:
        return _complement(ranges)
    return _cased(ranges) if flags & re.IGNORECASE else ranges


def _category(name: Any, *, negated: bool) -> _Ranges:
    """Characters of a category, rather too many; so a negated class has to know them exactly."""
    if name is op.CATEGORY_SPACE:
        return _SPACES
    if name is op.CATEGORY_NOT_SPACE:
        return _complement(_SPACES)
    if not negated and name in (op.CATEGORY_WORD, op.CATEGORY_DIGIT):
        return _WORD if name is op.CATEGORY_WORD else _DIGITS
    raise ValueError(f"no relaxed form of {name} in a class")


def _cased(ranges: _Ranges) -> _Ranges:
    """With the other cases of ASCII letters. Raises ValueError for other letters that have cases."""
    if any(code > 0x7F and chr(code).lower() != chr(code).upper() for pair in ranges for code in pair):
        raise ValueError("no relaxed form of letters outside ASCII whose case does not count")
    letters = {chr(code) for low, high in ranges for code in range(low, min(high, 0x7A) + 1)}
    cases = {case for char in letters if char.isalpha() for case in (char.lower(), char.upper())}
    cases |= {case for char in cases for case in _FURTHER_CASES.get(char, "")}
    return [*ranges, *((ord(case), ord(case)) for case in cases)]


def _complement(ranges: _Ranges) -> _Ranges:
    others: _Ranges = []
    begin = 0
    for low, high in sorted(ranges):
        if low > begin:
            others.append((begin, low - 1))
        begin = max(begin, high + 1)
    return [*others, (begin, _LAST)] if begin <= _LAST else others


def _class(ranges: _Ranges) -> str:
    """One character of the ranges, as the bytes of its UTF-8."""
    written = dict.fromkeys(sequence for low, high in ranges for sequence in _utf8(low, high))
    return _either("".join(f"[\\x{{{a:x}}}-\\x{{{b:x}}}]" for a, b in sequence) for sequence in written)


def _utf8(low: int, high: int) -> Iterator[tuple[tuple[int, int], ...]]:
    """Sequences of ranges of bytes that together are the UTF-8 of the code points from `low` to `high`."""
    for last in (0x7F, 0x7FF, 0xFFFF):
        if low <= last < high:
            yield from (*_utf8(low, last), *_utf8(last + 1, high))
            return
    for bits in (6, 12, 18) if high > 0x7F else ():
        within = (1 << bits) - 1
        if low >> bits != high >> bits:
            # Whole blocks in the middle, where every last byte may stand; what is left on either side.
            if low & within:
                yield from (*_utf8(low, low | within), *_utf8((low | within) + 1, high))
                return
            if high & within != within:
                yield from (*_utf8(low, (high & ~within) - 1), *_utf8(high & ~within, high))
                return
    first, last_one = (chr(code).encode("utf-8", "surrogatepass") for code in (low, high))
    yield tuple(zip(first, last_one, strict=True))


def one_of(words: Iterable[str]) -> str:
    """Some words, in either case of ASCII letters and with ``_`` for any space."""
    pattern = trie_pattern(word.encode().decode("latin-1") for word in sorted(words))
    return f"(?i:{pattern.replace(re.escape(' '), '[ _]')})"


def compiled(expressions: Iterable[str]) -> Any:
    """The expressions together, as RE2 has them, to be matched against UTF-8."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem, options.never_capture, options.log_errors = MAX_MEMORY, True, False
    return re2.compile("|".join(dict.fromkeys(expressions)).encode("latin-1"), options)
