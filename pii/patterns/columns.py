"""Values under a heading: tables of Markdown, tables of lines, and what SQL inserts.

    | 姓名 | 手机 |            name;account             INSERT INTO users (name, account)
    | 张三 | 13800138000 |     Ann Smith;73921846       VALUES ('Ann Smith', '73921846')

A heading is a label that fills a cell of its line; the lines below it with as many cells are its rows. Cells
are parted by commas, semicolons, tabs, bars, or two spaces and more.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

from pii.patterns.labelled import read_value
from pii.patterns.labels import NOT_PERSONAL, Label, is_label
from pii.patterns.names import is_written_name, tells_of_people
from pii.patterns.relaxed import relaxed
from pii.patterns.scanned import Candidate, Scanned

_SEPARATORS = "|\t,;"
_SPACES = "  "
"""Parts the cells of a table that is aligned, as far as they are apart."""
_SPACED_CELL = re.compile(r"[^ \r\n]+(?: [^ \r\n]+)*")
_PAD = " \"'*`"
"""May stand around the text of a cell."""
_RULE = re.compile(r"[ \t|:+=-]{3,}")
"""The line under the headings of a Markdown table."""
_NUMBERED = re.compile(r"[0-9]")
_LONGEST_HEADING = 40

_Cell = tuple[int, int]


def find_in_columns(scanned: Scanned) -> Iterator[Candidate]:
    """What stands in the cells below headings that announce it."""
    done = 0
    for label in scanned.labels.all:
        if label.start < done or not (separator := _fills_a_cell(scanned.text, label)):
            continue
        # Every line is judged once, and a row is no heading: the time is in proportion to the text.
        begin, done = _line_around(scanned.text, label.start)
        headings = _cells(scanned.text, begin, done, separator)
        if not _are_headings(scanned, headings, done):
            continue
        rows, done = _rows(scanned.text, len(headings), done, separator)
        yield from _below(scanned, [scanned.labels.by_place.get(cell) for cell in headings], rows)


_INSERTED = re.compile(r"\((?P<names>[^()\n]{1,1000})\)\s{0,9}values\s{0,9}(?=\()")
_TUPLE = re.compile(r"\s{0,9},?\s{0,9}\((?P<cells>(?:'(?:[^'\n]|'')*'|[^()'\n])*)\)")
_NAME = re.compile(r"[^,]+")
_VALUE = re.compile(r"'(?:[^'\n]|'')*'|[^,']+")


def find_inserted(scanned: Scanned) -> Iterator[Candidate]:
    """What SQL puts into columns whose names announce it: ``(name, cvc) VALUES ('Ann', '123')``."""
    if "values" not in scanned.lower:
        return
    for insert in _INSERTED.finditer(scanned.lower):
        labels = [
            scanned.labels.by_place.get(cell) for cell in _within(_NAME, scanned.text, *insert.span("names"))
        ]
        rows, at = [], insert.end()
        while row := _TUPLE.match(scanned.text, at):
            rows.append(_within(_VALUE, scanned.text, *row.span("cells")))
            at = row.end()
        yield from _below(scanned, labels, [row for row in rows if len(row) == len(labels)])


def _within(cell: re.Pattern[str], text: str, begin: int, end: int) -> list[_Cell]:
    """The cells between brackets, without what pads them."""
    found = (_unpadded(text, *match.span()) for match in cell.finditer(text, begin, end))
    return [(start, end) for start, end in found if start < end]


def _unpadded(text: str, first: int, last: int) -> _Cell:
    while first < last and text[first] in _PAD:
        first += 1
    while first < last and text[last - 1] in _PAD + "\r":
        last -= 1
    return first, last


def behind() -> Iterator[str]:
    """What stands behind a label that heads a column, for `pii.patterns.sieve`."""
    pad = rf"[{re.escape(_PAD)}]*"
    yield rf"{pad}[{re.escape(_SEPARATORS)}\r\n]"
    yield _SPACES
    # The last name of a list in brackets.
    yield pad + relaxed(r"\)\s{0,9}values", ignore_case=True)


def _fills_a_cell(text: str, label: Label) -> str | None:
    """The separator beside a label that has its cell for itself, or None."""
    start, end = label.start - 1, label.end
    while start >= 0 and text[start] in _PAD:
        start -= 1
    while end < len(text) and text[end] in _PAD:
        end += 1
    around = {text[start] if start >= 0 else "\n", text[end] if end < len(text) else "\n"}
    separators = around - {"\n", "\r"}
    if len(separators) == 1 and separators <= set(_SEPARATORS):
        return separators.pop()
    before, behind = text[max(0, label.start - 2) : label.start], text[label.end : label.end + 2]
    apart = [side == _SPACES for side in (before, behind)]
    edges = [not side or side[place] in "\r\n" for side, place in ((before, -1), (behind, 0))]
    fills = any(apart) and all(a or e for a, e in zip(apart, edges, strict=True))
    return _SPACES if fills else None


def _line_around(text: str, at: int) -> tuple[int, int]:
    end = text.find("\n", at)
    return text.rfind("\n", 0, at) + 1, len(text) if end < 0 else end


@functools.cache
def _cell(separator: str) -> re.Pattern[str]:
    """A cell; within quotation marks the separator does not end it."""
    return re.compile(rf'[ \t]*"(?:[^"\n]|"")*"[ \t]*(?=[{separator}\r\n]|\Z)|[^{separator}\n]*')


def _cells(text: str, begin: int, end: int, separator: str) -> list[_Cell]:
    """The cells of a line, without what pads them."""
    if separator == _SPACES:
        return [cell.span() for cell in _SPACED_CELL.finditer(text, begin, end)]
    found, at, pattern = [], begin, _cell(separator)
    while at <= end:
        cell = pattern.match(text, at, end)
        assert cell is not None  # it matches the empty string
        found.append(_unpadded(text, *cell.span()))
        at = cell.end() + 1
    return found


def _are_headings(scanned: Scanned, cells: list[_Cell], end: int) -> bool:
    """Whether the cells of a line can be headings.

    Of two cells the first may be the name of a field and the second its value: there, both have to be labels,
    or a line has to be drawn under them.
    """
    text = scanned.text
    written = [(start, end) for start, end in cells if start < end]
    if any(e - s > _LONGEST_HEADING or _NUMBERED.search(text, s, e) for s, e in written):
        return False
    if len(written) != 2:
        return len(written) > 2
    ruled = _RULE.fullmatch(text, *_line_around(text, min(end + 1, len(text))))
    return ruled is not None or all(is_label(text[s:e]) for s, e in written)


def _rows(text: str, width: int, end: int, separator: str) -> tuple[list[list[_Cell]], int]:
    """The lines of so many cells behind a line that ends at `end`, and where the last of them ends."""
    rows: list[list[_Cell]] = []
    while end < len(text):
        begin, line_end = _line_around(text, end + 1)
        if not _RULE.fullmatch(text, begin, line_end):
            cells = _cells(text, begin, line_end, separator)
            if len(cells) != width:
                break
            rows.append(cells)
        end = line_end
    return rows, end


def _below(scanned: Scanned, labels: list[Label | None], rows: list[list[_Cell]]) -> Iterator[Candidate]:
    others = {type for label in labels if label for type in label.types} - {"PERSON_NAME", NOT_PERSONAL}
    for cells in rows:
        for label, cell in zip(labels, cells, strict=True):
            if label is not None and cell[0] < cell[1]:
                yield from _read_cell(scanned, label, *cell, personal=bool(others))


def _read_cell(
    scanned: Scanned, label: Label, start: int, end: int, *, personal: bool
) -> Iterator[Candidate]:
    """What a cell holds.

    Args:
        scanned: the text.
        label: its heading.
        start: where the cell begins.
        end: where it ends.
        personal: whether other headings speak of persons, so that a ``name`` is one of a person.
    """
    chinese = not scanned.text[label.start : label.end].isascii()
    small = personal or tells_of_people(scanned.lower[label.start : label.end])
    for type in label.types:
        if type == "PERSON_NAME" and is_written_name(scanned.text[start:end], small=small):
            yield Candidate(start, end, type, "name_in_column", "context", None, True)
        elif type == "ADDRESS" and _NUMBERED.search(scanned.text, start, end) and end - start > 5:
            yield Candidate(start, end, type, "address_in_column", "context", None, True)
        elif (found := read_value(scanned, type, start, "assigns", chinese)) and found.end == end:
            yield found
