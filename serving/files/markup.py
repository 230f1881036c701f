"""HTML: visible text is read across tags, attributes, comments and scripts are read too; the tags stay.

What the reader of a page sees as one word may be cut by tags (``<b>张</b>三``) or written in character
references (``&#24352;``). Both are undone for the search, and only the characters of a value are replaced.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser

from serving.files.documents import WholeFile
from serving.files.lines import BLOCK_CHARS
from serving.files.mapped import Mapped, moved
from serving.files.records import Check, Edit, Record, Slot, applied, checked

_INLINE = (
    "a abbr b bdi bdo big cite code data del dfn em font i ins kbd label mark q s samp small span strike"
    " strong sub sup time tt u var wbr"
)
INLINE = frozenset(_INLINE.split())
"""Elements that do not part what stands before them from what stands in them (HTML, section 3.2.5.2.5)."""

CELLS = frozenset(("td", "th"))
RAW = frozenset(("script", "style"))
"""Elements without character references."""

_REFERENCE = re.compile(r"&(?:#[0-9]+|#[xX][0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]*);?")
_ATTRIBUTE = re.compile(
    r"""[^\s"'<>/=]+\s*=\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\s"'=<>`]+))"""
)
_SHORTEST = 2
"""Attribute values of fewer characters are no value of anything."""


def _referenced(source: str, start: int, end: int, into: Mapped) -> None:
    """Add a part of the source with its character references undone."""
    position = start
    for found in _REFERENCE.finditer(source, start, end):
        meant = html.unescape(found[0])
        if meant == found[0]:
            continue
        into.add(source[position : found.start()], position)
        into.add_as(meant, *found.span())
        position = found.end()
    into.add(source[position:end], position)


class _Reader(HTMLParser):
    """Collects the mapped texts of one document."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=False)
        self.texts: list[tuple[Mapped, bool]] = []
        """Each with whether it stands where character references are not read."""
        self._source = source
        self._lines = [0, *(found.end() for found in re.finditer("\n", source))]
        self._visible = Mapped()
        self._in_raw = False
        self._read_to = 0

    def read(self) -> list[tuple[Mapped, bool]]:
        self.feed(self._source)
        self.close()
        self._text_to(len(self._source))
        self._flush()
        return self.texts

    def _at(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column

    def _text_to(self, end: int) -> None:
        """Take as text what stands between the last markup and here, whatever the parser calls it."""
        if end > self._read_to:
            if self._in_raw:
                self._visible.add(self._source[self._read_to : end], self._read_to)
            else:
                _referenced(self._source, self._read_to, end, self._visible)
            self._read_to = end

    def _part(self, at: int, mark: str) -> None:
        if self._visible.places:
            if mark:
                self._visible.add_as(mark, at, at)
            if len(self._visible.places) >= BLOCK_CHARS:
                self._flush()

    def _flush(self) -> None:
        if self._visible.text.strip():
            self.texts.append((self._visible, self._in_raw))
        self._visible = Mapped()

    def _tag(self, tag: str, end: int, mark: str) -> None:
        at = self._at()
        self._text_to(at)
        if tag not in INLINE:
            self._part(at, mark)
        if (tag in RAW) or self._in_raw:
            self._flush()
        self._read_to = end

    def handle_starttag(self, tag: str, attrs: object) -> None:
        written = self.get_starttag_text() or ""
        at = self._at()
        self._tag(tag, at + len(written), " | " if tag in CELLS else "\n")
        for found in _ATTRIBUTE.finditer(written):
            group = next(name for name in ("double", "single", "bare") if found[name] is not None)
            start, end = found.span(group)
            if end - start >= _SHORTEST:
                value = Mapped()
                _referenced(self._source, at + start, at + end, value)
                self.texts.append((value, False))
        self._in_raw = tag in RAW and not written.endswith("/>")

    def handle_endtag(self, tag: str) -> None:
        at = self._at()
        end = self._source.find(">", at) + 1 or len(self._source)
        # The next cell begins with its own mark.
        self._tag(tag, end, "" if tag in CELLS else "\n")
        self._in_raw = False

    def _other(self, length: int, inner: int) -> None:
        """A comment, declaration or instruction: what it holds is read apart."""
        at = self._at()
        self._text_to(at)
        value = Mapped()
        value.add(self._source[at + inner : at + inner + length], at + inner)
        if length >= _SHORTEST:
            self.texts.append((value, True))
        end = self._source.find(">", at + inner + length) + 1
        self._read_to = end or len(self._source)

    def handle_comment(self, data: str) -> None:
        opening = 4 if self._source.startswith("<!--", self._at()) else 2
        self._other(len(data), opening)

    def handle_decl(self, decl: str) -> None:
        self._other(len(decl), 2)

    def unknown_decl(self, data: str) -> None:
        self._other(len(data), 3)

    def handle_pi(self, data: str) -> None:
        self._other(len(data), 2)


@dataclass(frozen=True)
class Html(WholeFile):
    """One HTML document.

    Args:
        encoding: of the file; references of characters are written where it lacks one.
    """

    encoding: str = "utf-8"
    name = "html"

    def records(self, content: bytes, line: int, check: Check) -> Iterator[Record]:
        """The document: a slot for each stretch of visible text, attribute value, comment and script."""
        try:
            source = content.decode(self.encoding)
        except UnicodeDecodeError:
            yield Record(1, 2, reason="not_utf8" if self.encoding == "utf-8" else "not_decodable")
            return
        texts = _Reader(source).read()
        for mapped, _ in texts:
            _, reason = checked(mapped.text, check)
            if reason:
                yield Record(1, 2, reason=reason)
                return
        slots = tuple(Slot(mapped.text) for mapped, _ in texts)
        layout = tuple((tuple(mapped.places), is_raw) for mapped, is_raw in texts)
        yield Record(1, 2, slots, content=source, layout=layout)

    def written(self, record: Record, edits: Sequence[Sequence[Edit]], *, redacted: bool) -> bytes:
        """The document with its new texts, escaped.

        What comes back to a script or comment does so as it was read there; what is put there instead of a
        value must not be able to end it.
        """
        every = [
            edit
            for (places, is_raw), changes in zip(record.layout, edits, strict=True)
            for edit in moved(places, changes, str if is_raw and not redacted else html.escape)
        ]
        return applied(record.content, sorted(every)).encode(self.encoding, "xmlcharrefreplace")
