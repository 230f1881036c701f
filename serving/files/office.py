"""Word and Excel files (ECMA-376): paragraphs and cells are read whole, runs and layout stay.

Both are ZIP archives of XML. Every part with text is read: body, headers, footers, foot- and endnotes,
comments, text boxes, tracked deletions, hidden text, sheets, shared strings, cached results of formulas.
Author, title and other metadata are emptied. What cannot be read (macros, embedded files, signatures) is
refused by name.
"""

from __future__ import annotations

import io
import itertools
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pii.errors import RequestError
from serving.files.documents import MAX_DOCUMENT_BYTES, WholeFile
from serving.files.mapped import Mapped, moved
from serving.files.records import Check, Edit, Record, Slot, applied

WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
PRESERVE = "{http://www.w3.org/XML/1998/namespace}space"

_PARAGRAPHS = {WORD + "p", DRAWING + "p", SHEET + "si", SHEET + "is", SHEET + "text"}
"""Elements whose runs make up one text."""
_TEXTS = {WORD + "t", WORD + "delText", WORD + "instrText", WORD + "delInstrText", DRAWING + "t", SHEET + "t"}
_BREAKS = {
    WORD + "tab": "\t",
    WORD + "br": "\n",
    WORD + "cr": "\n",
    DRAWING + "br": "\n",
    WORD + "noBreakHyphen": "-",
}
_PHONETIC = SHEET + "rPh"

_REFUSED = re.compile(
    r"vbaProject|/embeddings/|/activeX/|_xmlsignatures/|/afchunk|\.bin$|xl/externalLinks/|xl/pivotCache/"
    r"|xl/queryTables|xl/connections",
    re.IGNORECASE,
)
"""Parts with content that is not read here: macros, embedded files, signatures, other documents, caches."""

_METADATA = re.compile(r"docProps/(core|app|custom)\.xml$|customXml/item[0-9]*\.xml$|/people\.xml$|/persons/")
_AUTHORS = re.compile(r"(?:^|\})(?:author|initials|lastModifiedBy|userName)$")
_IN_ATTRIBUTES = re.compile(
    r"(?:^|\})(?:descr|title|alt|tooltip|Target|name|defaultValue|val|display|location)$"
)
"""Attributes that hold what somebody typed: alternative texts, addresses of links, names of fields."""

_SHORTEST = 3


@dataclass(frozen=True, slots=True)
class _Text:
    """Where a slot stands: a part of the archive, and its nodes or one attribute, by their order in it."""

    part: str
    nodes: tuple[int, ...]
    attribute: str = ""
    places: tuple[tuple[int, int], ...] = ()
    """For each character, its place in the joined texts of the nodes."""


@dataclass(frozen=True)
class _Office(WholeFile):
    """What both have in common."""

    def records(self, content: bytes, line: int, check: Check) -> Iterator[Record]:
        """The document. Reasons: ``not_office``, ``not_supported``, ``document_too_large``."""
        try:
            slots, layout = _read(content, check)
        except RequestError as error:
            yield Record(1, 2, reason=error.code)
        else:
            yield Record(1, 2, slots, content=content, layout=layout)

    def written(self, record: Record, edits: Sequence[Sequence[Edit]], *, redacted: bool) -> bytes:
        """The archive with its new texts; a redacted one is without metadata, authors and comments of XML.

        Parts without a change keep their bytes.
        """
        changes: dict[str, list[tuple[_Text, Sequence[Edit]]]] = {}
        for text, done in zip(record.layout, edits, strict=True):
            if done:
                changes.setdefault(text.part, []).append((text, done))
        target = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(record.content)) as source, zipfile.ZipFile(target, "w") as result:
            for info in source.infolist():
                part = source.read(info)
                if redacted and _METADATA.search(info.filename):
                    part = _emptied(part)
                elif info.filename.endswith((".xml", ".rels", ".vml")):
                    part = _rewritten(part, changes.get(info.filename, ()), redacted=redacted)
                result.writestr(info, part, zipfile.ZIP_DEFLATED)
        return target.getvalue()


@dataclass(frozen=True)
class Docx(_Office):
    """A Word document."""

    name = "docx"


@dataclass(frozen=True)
class Xlsx(_Office):
    """An Excel workbook."""

    name = "xlsx"


def _parsed(part: bytes) -> Any:
    from lxml import etree

    # A document must not be able to read other files, nor to grow without bound.
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    root = etree.fromstring(part, parser)
    if root.getroottree().docinfo.doctype:
        raise RequestError("not_supported", "document", "the document declares entities")
    return root


def _read(content: bytes, check: Check) -> tuple[tuple[Slot, ...], tuple[_Text, ...]]:
    from lxml import etree

    slots: list[Slot] = []
    layout: list[_Text] = []
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(info.file_size for info in archive.infolist()) > MAX_DOCUMENT_BYTES:
                raise RequestError("document_too_large", "document", "the document is too large")
            for info in archive.infolist():
                if info.flag_bits & 1 or _REFUSED.search(info.filename):
                    raise RequestError("not_supported", "document", "a part that is not read")
                if _METADATA.search(info.filename) or not info.filename.endswith((".xml", ".rels", ".vml")):
                    continue
                for text, where in _texts(info.filename, _parsed(archive.read(info))):
                    slots.append(Slot(check(text)))
                    layout.append(where)
    except (zipfile.BadZipFile, etree.XMLSyntaxError, NotImplementedError, EOFError, KeyError):
        raise RequestError("not_office", "document", "not an office file") from None
    return tuple(slots), tuple(layout)


def _texts(part: str, root: Any) -> Iterator[tuple[str, _Text]]:
    """Paragraphs, cells without shared text, and attributes of one part."""
    nodes = list(root.iter())
    number = {node: index for index, node in enumerate(nodes)}
    for index, node in enumerate(nodes):
        if not isinstance(node.tag, str):
            # A comment or processing instruction; `_rewritten` drops both.
            continue
        if node.tag in _PARAGRAPHS:
            mapped, own, position = Mapped(), [], 0
            for inner in _own(node):
                if inner.tag in _TEXTS and inner.text:
                    mapped.add(inner.text, position)
                    position += len(inner.text)
                    own.append(number[inner])
                elif inner.tag in _BREAKS:
                    mapped.add_as(_BREAKS[inner.tag], position, position)
            if mapped.text.strip():
                yield mapped.text, _Text(part, tuple(own), places=tuple(mapped.places))
        elif node.tag == SHEET + "c" and node.get("t") not in ("s", "inlineStr", "b", "e"):
            for inner in (node.find(SHEET + "v"), node.find(SHEET + "f")):
                if inner is not None and inner.text:
                    places = tuple((at, at + 1) for at in range(len(inner.text)))
                    yield inner.text, _Text(part, (index,), inner.tag, places)
        elif _is_alone(node):
            places = tuple((at, at + 1) for at in range(len(node.text)))
            yield node.text, _Text(part, (index,), places=places)
        for name, value in node.items():
            if (
                _IN_ATTRIBUTES.search(name)
                and len(value) >= _SHORTEST
                and not _is_structure(node, name, value)
            ):
                places = tuple((at, at + 1) for at in range(len(value)))
                yield value, _Text(part, (index,), name, places)


def _is_alone(node: Any) -> bool:
    """Text outside paragraphs and cells: headers of pages, defined names, texts of shapes in VML."""
    if not node.text or not node.text.strip() or node.tag in _TEXTS or node.tag in (SHEET + "v", SHEET + "f"):
        return False
    return not _AUTHORS.search(node.tag)


def _is_structure(node: Any, name: str, value: str) -> bool:
    """Names that other parts refer to: they are the format's own words."""
    if name == "Target":
        return bool(node.get("TargetMode") != "External")
    if name.endswith("val"):
        return "docVar" not in node.tag and "alias" not in node.tag and "tag" not in node.tag.lower()
    return name == "name" and any(word in str(node.tag) for word in ("}font", "theme", "latin"))


def _own(paragraph: Any) -> Iterator[Any]:
    """The elements of a paragraph, without those of paragraphs in it (text boxes) and readings of kanji."""
    for child in paragraph:
        if child.tag in _PARAGRAPHS or child.tag == _PHONETIC:
            continue
        yield child
        yield from _own(child)


def _rewritten(part: bytes, changes: Sequence[tuple[_Text, Sequence[Edit]]], *, redacted: bool) -> bytes:
    """A part with edits; a redacted one is without names of authors and comments of XML."""
    from lxml import etree

    root = _parsed(part)
    nodes = list(root.iter())
    touched = redacted and _stripped(nodes)
    for text, edits in changes:
        _change(nodes, text, edits)
    if not touched and not changes:
        return part
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8", standalone=True))


def _stripped(nodes: Sequence[Any]) -> bool:
    """Take names of authors and comments of XML out of a part; returns whether there were any."""
    touched = False
    for node in nodes:
        if not isinstance(node.tag, str):
            if node.getparent() is not None:
                tail, parent = node.tail or "", node.getparent()
                before = node.getprevious()
                if before is not None:
                    before.tail = (before.tail or "") + tail
                else:
                    parent.text = (parent.text or "") + tail
                parent.remove(node)
                touched = True
            continue
        if _AUTHORS.search(node.tag) and node.text:
            node.text, touched = "", True
        for name in list(node.attrib):
            if _AUTHORS.search(name) and node.get(name):
                node.set(name, "")
                touched = True
    return touched


def _change(nodes: Sequence[Any], text: _Text, edits: Sequence[Edit]) -> None:
    node = nodes[text.nodes[0]]
    if text.attribute in (SHEET + "v", SHEET + "f"):
        _change_cell(node, text.attribute, edits)
        return
    if text.attribute:
        node.set(text.attribute, applied(node.get(text.attribute), edits))
        return
    position, cut = 0, _apart(moved(text.places, edits, str), text, nodes)
    for index in text.nodes:
        own, length = nodes[index], len(nodes[index].text)
        inside = [
            (max(start, position) - position, min(end, position + length) - position, new)
            for start, end, new in cut
            if start < position + length and end > position
        ]
        if inside:
            own.text = applied(own.text, inside)
            own.set(PRESERVE, "preserve")
        position += length


def _apart(edits: Sequence[Edit], text: _Text, nodes: Sequence[Any]) -> list[Edit]:
    """Edits that go over several nodes, cut at their borders; the new text goes to the first."""
    borders, position = [], 0
    for index in text.nodes:
        position += len(nodes[index].text)
        borders.append(position)
    done = []
    for start, end, new in edits:
        cuts = [start, *(border for border in borders if start < border < end), end]
        done += [(a, b, new if a == start else "") for a, b in itertools.pairwise(cuts)]
    return done


def _change_cell(cell: Any, tag: str, edits: Sequence[Edit]) -> None:
    """A number or a formula with an entity in it becomes a text."""
    from lxml import etree

    if cell.find(SHEET + "is") is not None:
        # The result of the formula was changed before: formula and result are gone.
        return
    new = applied(cell.find(tag).text, edits)
    for child in list(cell):
        cell.remove(child)
    cell.set("t", "inlineStr")
    holder = etree.SubElement(cell, SHEET + "is")
    etree.SubElement(holder, SHEET + "t").text = new


def _emptied(part: bytes) -> bytes:
    """Metadata without any text; its elements stay, for the archive's other parts refer to them."""
    from lxml import etree

    root = _parsed(part)
    for node in root.iter():
        if node.text and _DATE.match(node.text.strip()):
            node.text = _ZERO
        elif node.text and not _COUNT.fullmatch(node.text.strip()):
            node.text = ""
        for name in list(node.attrib):
            if _AUTHORS.search(name) or name in ("displayName", "userId"):
                node.set(name, "")
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8", standalone=True))


_COUNT = re.compile(r"[0-9.]{0,8}|true|false")
"""Numbers of pages and versions, switches: the schema wants them."""

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T")

_ZERO = "1970-01-01T00:00:00Z"
"""In place of times of creation and change: the schema wants one."""
