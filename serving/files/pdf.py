"""PDF: its pages are read as text, and written anew as pictures with boxes, behind them the redacted text.

Nothing of the old file goes into the new one but what its pages look like. Taking the characters out of a
page in place is not enough: a subset font holds the letters that were used, often in order of their first
use, with their codes, widths and Unicode values, and so the letters that nobody uses any more are what was
taken out. Structure trees, bookmarks, layers, metadata and older revisions say it again.

Read and drawn by PDFium, in a process of its own (`isolation`) since a small file can ask for any amount of
memory and time; what cannot be read for sure is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pii.errors import RequestError
from serving.files.documents import MAX_DOCUMENT_BYTES, WholeFile
from serving.files.isolation import MAX_SECONDS, Isolated, allow_seconds
from serving.files.pdf_fonts import refuse_hidden_text
from serving.files.pdf_pages import Pages, refused
from serving.files.records import Check, Edit, Record, Slot

MAX_PICTURED = 0.5
"""Where pictures take more of a page, the page may be one: a scan, with or without a text behind it."""

SAME_PLACE = 0.1
"""How far apart the edges of a text painted twice may be, as a share of its height."""

_UNREADABLE = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffd-\uffff]|[\ue000-\uf8ff]{2}")
"""There is no Unicode value, or a font has an alphabet of its own; a private character alone is a bullet."""

_INVISIBLE = (3, 7)
"""Modes of text that is not painted: the text that a reader of characters has put behind a scan."""

_LINK, _POPUP = 2, 16
"""Subtypes (PDFium, fpdf_annot.h) that show nothing: areas to click on, and windows of notes."""

MAX_PAGES = 2000
"""At 150 KB a page, more would not go into the largest result."""

MAX_POINTS = 14_400
"""A side of a page, 200 inches: what a reader has to support (ISO 32000-1, annex C)."""

MAX_CHARS = 5_000_000
"""Characters of a document; `MAX_PAGES` full ones."""

SECONDS_A_PAGE = 1.0
"""Processor time, on the average of a document; a page of text takes a tenth of it."""


@dataclass(frozen=True)
class Pdf(WholeFile):
    """A PDF file."""

    name = "pdf"
    irreversible = "the pages of a redacted PDF are pictures"

    def records(self, content: bytes, line: int, check: Check) -> Iterator[Record]:
        """The document: a slot for each page.

        Reasons: ``not_pdf``, ``encrypted``, ``has_form``, ``has_signature``, ``has_attachments``,
        ``has_notes``, ``page_without_text``, ``page_is_picture``, ``unreadable_text``, ``too_many_pages``,
        ``page_size``, ``document_too_large``, and those of `Isolated.call`.
        """
        try:
            pages = _APART.call(_texts, content)
            slots = tuple(Slot(check(text)) for text, _ in pages)
        except RequestError as error:
            yield Record(1, 2, reason=error.code)
        else:
            yield Record(1, 2, slots, content=content, layout=tuple(places for _, places in pages))

    def written(self, record: Record, edits: Sequence[Sequence[Edit]], *, redacted: bool) -> bytes:
        """The new file. Raises RequestError: ``document_too_large``, ``unreadable_text``, ``too_complex``."""
        texts = [slot.text for slot in record.slots]
        return _APART.call(_rewritten, record.content, texts, record.layout, edits)


_APART = Isolated()


def _texts(content: bytes) -> list[tuple[str, tuple[int, ...]]]:
    """What `_read` gives for each page. Raises RequestError."""
    pages, num_chars = [], 0
    with _opened(content) as document:
        _refuse_document(document)
        refuse_hidden_text(content)
        for page in _pages(document):
            pages.append(_read(page))
            num_chars += len(pages[-1][0])
            if num_chars > MAX_CHARS:
                raise refused("document_too_large")
    return pages


def _rewritten(
    content: bytes,
    texts: Sequence[str],
    layout: Sequence[tuple[int, ...]],
    edits: Sequence[Sequence[Edit]],
) -> bytes:
    """The new file. Raises RequestError."""
    new = Pages()
    with _opened(content) as document:
        for page, text, places, changes in zip(_pages(document), texts, layout, edits, strict=True):
            # What the policy keeps is no secret, and needs no box.
            hidden = [(a, b, put) for a, b, put in changes if put != text[a:b]]
            new.add(page, text, places, hidden)
            if new.num_bytes > MAX_DOCUMENT_BYTES:
                raise refused("document_too_large")
    return new.saved()


@contextmanager
def _opened(content: bytes) -> Iterator[Any]:
    """A document of PDFium. Raises RequestError where PDFium fails: ``not_pdf``, ``encrypted``."""
    import pypdfium2
    from pypdfium2.raw import FPDF_ERR_PASSWORD

    try:
        with pypdfium2.PdfDocument(content) as document:
            yield document
    except pypdfium2.PdfiumError as error:
        raise refused("encrypted" if error.err_code == FPDF_ERR_PASSWORD else "not_pdf") from None


def _pages(document: Any) -> Iterator[Any]:
    """One page after the other; only one is held. Raises RequestError: ``page_size``."""
    allow_seconds(MAX_SECONDS + len(document) * SECONDS_A_PAGE)
    for index in range(len(document)):
        page = document[index]
        if not all(1 <= points <= MAX_POINTS for points in page.get_size()):
            raise refused("page_size")
        yield page
        page.close()


def _refuse_document(document: Any) -> None:
    """Raises RequestError where there is more than pages, or more pages than are read."""
    from pypdfium2 import raw

    if len(document) > MAX_PAGES:
        raise refused("too_many_pages")
    if raw.FPDF_GetSecurityHandlerRevision(document) >= 0:
        raise refused("encrypted")
    if raw.FPDF_GetSignatureCount(document) > 0:
        raise refused("has_signature")
    if document.get_formtype() != raw.FORMTYPE_NONE:
        raise refused("has_form")
    if document.count_attachments():
        raise refused("has_attachments")


def _read(page: Any) -> tuple[str, tuple[int, ...]]:
    """The text of a page in reading order, and for each of its code points the index of PDFium's character.

    Raises RequestError where something would be seen and is not read.
    """
    from pypdfium2 import raw

    for index in range(raw.FPDFPage_GetAnnotCount(page)):
        note = raw.FPDFPage_GetAnnot(page, index)
        subtype = raw.FPDFAnnot_GetSubtype(note)
        raw.FPDFPage_CloseAnnot(note)
        if subtype not in (_LINK, _POPUP):
            raise refused("has_notes")
    chars = page.get_textpage()
    text, places = _text(chars)
    parts = list(page.get_objects(max_depth=1))
    if parts and not text.strip():
        raise refused("page_without_text")
    pictures = [part for part in parts if _has_picture(page, part)]
    painted = list(page.get_objects([raw.FPDF_PAGEOBJ_TEXT]))
    if sum(_share(page, part) for part in pictures) > MAX_PICTURED or (
        pictures and any(raw.FPDFTextObj_GetTextRenderMode(one) in _INVISIBLE for one in painted)
    ):
        raise refused("page_is_picture")
    _refuse_unread(chars, painted)
    return text, places


def _text(chars: Any) -> tuple[str, tuple[int, ...]]:
    """What PDFium reads, without its carriage returns. Raises RequestError: ``unreadable_text``."""
    from pypdfium2 import raw

    text: list[str] = []
    places: list[int] = []
    for index in range(chars.count_chars()):
        if raw.FPDFText_HasUnicodeMapError(chars, index) == 1:
            raise refused("unreadable_text")
        # A hyphen at which two lines were joined has no value of its own.
        is_hyphen = raw.FPDFText_IsHyphen(chars, index) == 1
        char = "-" if is_hyphen else chr(raw.FPDFText_GetUnicode(chars, index))
        if text and "\udc00" <= char <= "\udfff" and "\ud800" <= text[-1] <= "\udbff":
            text[-1] = (text[-1] + char).encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        elif char != "\r" or raw.FPDFText_IsGenerated(chars, index) != 1:
            text.append(char)
            places.append(index)
    read = "".join(text)
    if _UNREADABLE.search(read):
        raise refused("unreadable_text")
    return read, tuple(places)


def _has_picture(page: Any, part: Any) -> bool:
    from pypdfium2 import raw

    if part.type == raw.FPDF_PAGEOBJ_FORM:
        return any(page.get_objects([raw.FPDF_PAGEOBJ_IMAGE], form=part))
    return bool(part.type == raw.FPDF_PAGEOBJ_IMAGE)


def _share(page: Any, part: Any) -> float:
    """How much of the page a part covers, 0 to 1."""
    left, bottom, right, top = page.get_bbox()
    a, b, c, d = part.get_bounds()
    width, height = min(c, right) - max(a, left), min(d, top) - max(b, bottom)
    return float(max(0.0, width) * max(0.0, height) / ((right - left) * (top - bottom)))


def _refuse_unread(chars: Any, painted: Sequence[Any]) -> None:
    """Raises RequestError where PDFium has left out a text.

    It leaves out what it takes for a second coat of a text before it, and goes by nearness: a digit beside an
    equal one may be left out too. What lies exactly on a text that was read is no news.
    """
    from pypdfium2 import raw

    read: dict[int, list[tuple[float, ...]]] = {}
    for one in painted:
        edges = one.get_bounds()
        among = read.setdefault(id(one.container), [])
        if raw.FPDFTextObj_GetText(one, chars, None, 0) > 2:  # bytes; an empty text has its end alone
            among.append(edges)
            continue
        height = edges[3] - edges[1]
        is_inked = height > 0 and edges[2] > edges[0]
        coats = (
            all(abs(a - b) < SAME_PLACE * height for a, b in zip(edges, other, strict=True))
            for other in among
        )
        if is_inked and not any(coats):
            raise refused("unreadable_text")
