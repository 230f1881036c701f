"""Whether the letters of a PDF say what they are, by its fonts, and whether all its text is on its pages."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pii.errors import RequestError
from serving.files.pdf_pages import refused, writer

_KNOWN_COLLECTIONS = ("GB1", "CNS1", "Japan1", "Korea1")
"""Adobe's collections of East Asian characters, whose numbers have known Unicode values."""

_SYMBOLIC = 4
"""A flag of a font descriptor: the font has codes of its own (ISO 32000-1, table 123)."""

MAX_DEPTH = 15
"""Forms within forms; deeper ones are refused."""

_SHOWS_TEXT = re.compile(rb"(?:^|\s)BT\s")


def refuse_hidden_text(content: bytes) -> None:
    """Raises RequestError where letters do not say what they are, or stand in what a page is painted with.

    Such paints are patterns (watermarks), shapes of letters that are text themselves, and masks.
    """
    pikepdf = writer()
    try:
        with pikepdf.open(io.BytesIO(content)) as document:
            parts = list(_parts(document))
            fonts = (part for part in parts if part.get("/Type") == "/Font")
            if not all(map(_is_legible, fonts)) or any(map(_shows_text, _paints(parts))):
                raise refused("unreadable_text")
    except RequestError:
        raise
    except (pikepdf.PdfError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        # An object of another kind than its place asks for.
        raise refused("not_pdf") from None


def _parts(document: Any) -> Iterator[Any]:
    """All dictionaries of a file, those of streams among them."""
    from pikepdf import Array, Dictionary, Stream

    waiting = list(document.objects)
    while waiting:
        one = waiting.pop()
        inner = list(one) if isinstance(one, Array) else []
        if isinstance(one, Dictionary | Stream):
            yield one
            inner = list((one.stream_dict if isinstance(one, Stream) else one).values())
        # What is indirect is in the list of objects itself.
        waiting += [part for part in inner if isinstance(part, Array | Dictionary) and not part.is_indirect]


def _is_legible(font: Any) -> bool:
    """Whether the codes of a font have a Unicode value by the font's own words.

    Where they have none, a reader supposes that a code is a Latin letter. Of a name of a letter that it does
    not know PDFium says so, and the page is refused.
    """
    if "/ToUnicode" in font or font.get("/Subtype") in ("/CIDFontType0", "/CIDFontType2"):
        return True
    encoding = font.get("/Encoding")
    if font.get("/Subtype") == "/Type0":
        system = font.DescendantFonts[0].get("/CIDSystemInfo", {})
        return str(system.get("/Ordering", "")) in _KNOWN_COLLECTIONS and not str(encoding).startswith(
            "/Identity"
        )
    descriptor = font.get("/FontDescriptor", {})
    if not any(key in descriptor for key in ("/FontFile", "/FontFile2", "/FontFile3")):
        return bool(font.get("/Subtype") != "/Type3")
    is_symbolic = bool(int(descriptor.get("/Flags", 0)) & _SYMBOLIC)
    return encoding is not None and not (is_symbolic and font.get("/Subtype") == "/TrueType")


def _paints(parts: Sequence[Any]) -> Iterator[Any]:
    """Streams of patterns, letters of fonts of Type 3, and groups of soft masks."""
    for one in parts:
        if one.get("/PatternType") == 1:
            yield one
        if one.get("/Subtype") == "/Type3":
            yield from one.get("/CharProcs", {}).values()
        if one.get("/S") in ("/Alpha", "/Luminosity"):
            yield one.get("/G")


def _shows_text(paint: Any, depth: int = 0) -> bool:
    """Whether a stream, or a form that it uses, shows text."""
    from pikepdf import Stream

    if not isinstance(paint, Stream) or paint.get("/Subtype") == "/Image":
        return False
    if depth == MAX_DEPTH or _SHOWS_TEXT.search(paint.read_bytes()):
        return True
    resources: Any = paint.get("/Resources", {})
    return any(_shows_text(form, depth + 1) for form in resources.get("/XObject", {}).values())
