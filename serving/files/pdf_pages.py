"""The pages of a redacted PDF: each a picture with boxes over what was replaced, and an invisible text.

The text is what `redact` made of the page: it can be searched, copied and read aloud, and holds what took the
place of the values. Its letters have no shapes (a font of Type 3), so that no font has to be embedded.
"""

from __future__ import annotations

import io
import itertools
import logging
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pii.errors import RequestError
from serving.files.records import Edit, applied

DPI = 200
"""Dots per inch: the fine print of a contract can be read, and a page of text takes about 100 KB."""

MAX_PIXELS = 40_000_000
"""Larger pages (plans, posters) are drawn coarser."""

POINTS_PER_INCH = 72
MARGIN = 0.08
"""A box is so much larger on each side, as a share of its height: slanted letters reach out."""

FAINT = 40
"""Of 255: what differs less is the soft edge of a letter."""

JPEG_QUALITY = 88
LETTERS = 256
"""Characters of one font: its codes are single bytes."""

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels."""


def writer() -> Any:
    """The library that reads and writes the parts of a PDF; its log may quote the file, and is off."""
    import pikepdf

    logging.getLogger("pikepdf").setLevel(logging.CRITICAL)
    return pikepdf


def refused(reason: str) -> RequestError:
    """That a document is not redacted, with the reason as its code."""
    return RequestError(reason, "document", "the document cannot be redacted for sure")


class Pages:
    """A new file, page by page. The same pages give the same bytes.

    Attributes:
        num_bytes: of its pictures.
    """

    def __init__(self) -> None:
        self._file = writer().new()
        self._letters: dict[str, int] = {}
        self.num_bytes = 0

    def add(self, page: Any, text: str, places: Sequence[int], edits: Sequence[Edit]) -> None:
        """Draw a page and put its text behind it.

        Args:
            page: of the old file, of PDFium.
            text: its text.
            places: for each code point of it, the index of PDFium's character.
            edits: what was replaced in the text: apart from each other, in order.

        Raises RequestError ``unreadable_text``: letters are painted elsewhere than their font says.
        """
        from pikepdf import Dictionary

        width, height = page.get_size()
        scale = min(DPI / POINTS_PER_INCH, (MAX_PIXELS / max(1.0, width * height)) ** 0.5)
        bitmap = _drawn(page, scale)
        boxes = _boxes(page, bitmap, places)
        if edits and _strays(page, scale, bitmap, boxes):
            # Letters are not where their font says.
            raise refused("unreadable_text")
        for start, end, _ in edits:
            for run in _runs(boxes[start:end]):
                left, top, right, bottom = _wide(run)
                bitmap.fill_rect((0, 0, 0, 255), left, top, right - left, bottom - top)
        new = self._file.add_blank_page(page_size=(width, height))
        new.obj.Resources = Dictionary(XObject=Dictionary(Page=self._picture(bitmap)))
        content = f"q {width:g} 0 0 {height:g} 0 0 cm /Page Do Q\nBT 3 Tr\n"
        for line, box in _lines(text, boxes, edits):
            content += self._line(line, box, scale, height)
        new.obj.Contents = self._file.make_stream(f"{content}ET\n".encode())

    def _picture(self, bitmap: Any) -> Any:
        from pikepdf import Name, Stream

        image = bitmap.to_pil()
        red, green, blue = (channel.tobytes() for channel in image.split())
        is_grey = red == green == blue
        filter, content = Name.FlateDecode, zlib.compress(red if is_grey else image.tobytes())
        if not is_grey:
            packed = io.BytesIO()
            image.save(packed, "JPEG", quality=JPEG_QUALITY)
            if packed.tell() < len(content):
                filter, content = Name.DCTDecode, packed.getvalue()
        self.num_bytes += len(content)
        return Stream(
            self._file,
            content,
            Type=Name.XObject,
            Subtype=Name.Image,
            Width=image.width,
            Height=image.height,
            ColorSpace=Name.DeviceGray if is_grey else Name.DeviceRGB,
            BitsPerComponent=8,
            Filter=filter,
        )

    def _line(self, line: str, box: Box, scale: float, height: float) -> str:
        """Operators that write a line as wide and high as its box."""
        left, top, right, bottom = (edge / scale for edge in box)
        size = max(1.0, bottom - top)
        stretch = 100 * max(1.0, right - left) / (len(line) * size)
        written = f"1 0 0 1 {left:.2f} {height - bottom:.2f} Tm {stretch:.3f} Tz\n"
        codes = [self._letters.setdefault(char, len(self._letters)) for char in line]
        for font, group in itertools.groupby(codes, key=lambda code: code // LETTERS):
            shown = bytes(code % LETTERS for code in group).hex()
            written += f"/F{font} {size:.2f} Tf <{shown}> Tj\n"
        return written

    def saved(self) -> bytes:
        """The finished file."""
        from pikepdf import Dictionary

        letters = list(self._letters)
        fonts = {
            f"/F{at // LETTERS}": self._font(letters[at : at + LETTERS])
            for at in range(0, len(letters), LETTERS)
        }
        for page in self._file.pages:
            page.obj.Resources.Font = Dictionary(fonts)
        target = io.BytesIO()
        self._file.save(target, deterministic_id=True)
        return target.getvalue()

    def _font(self, letters: Sequence[str]) -> Any:
        """A font whose letters are blank, one unit wide, and mean these characters."""
        from pikepdf import Array, Dictionary, Name

        blank = self._file.make_stream(b"1 0 0 0 1 1 d1")
        return self._file.make_indirect(
            Dictionary(
                Type=Name.Font,
                Subtype=Name.Type3,
                FontBBox=Array([0, 0, 1, 1]),
                FontMatrix=Array([1, 0, 0, 1, 0, 0]),
                FirstChar=0,
                LastChar=len(letters) - 1,
                Widths=Array([1] * len(letters)),
                Encoding=Dictionary(Type=Name.Encoding, Differences=Array([0, *[Name.blank] * len(letters)])),
                CharProcs=Dictionary(blank=blank),
                Resources=Dictionary(),
                ToUnicode=self._file.make_stream(_to_unicode(letters)),
            )
        )


def _to_unicode(letters: Sequence[str]) -> bytes:
    """The CMap that says what the codes of a font mean (ISO 32000-1, 9.10.3)."""
    pairs = [f"<{code:02x}> <{char.encode('utf-16-be').hex()}>" for code, char in enumerate(letters)]
    # A block holds a hundred pairs at the most.
    blocks = [pairs[at : at + 100] for at in range(0, len(pairs), 100)]
    body = "".join(f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar\n" for block in blocks)
    return (
        "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n"
        "/CMapName /Letters def\n/CMapType 2 def\n"
        f"1 begincodespacerange\n<00> <ff>\nendcodespacerange\n{body}"
        "endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n"
    ).encode()


def _drawn(page: Any, scale: float) -> Any:
    return page.render(scale=scale, may_draw_forms=False, draw_annots=False, rev_byteorder=True)


def _strays(page: Any, scale: float, bitmap: Any, boxes: Iterable[Box | None]) -> bool:
    """Whether text has left ink where no character has its place: there a box would not cover it.

    The page is drawn once more without its texts, and what differs is their ink.
    """
    from PIL import Image, ImageChops
    from pypdfium2 import raw

    texts = list(page.get_objects([raw.FPDF_PAGEOBJ_TEXT]))
    for text in texts:
        raw.FPDFPageObj_SetIsActive(text, False)
    ink = ImageChops.difference(bitmap.to_pil(), _drawn(page, scale).to_pil()).convert("L")
    for text in texts:
        raw.FPDFPageObj_SetIsActive(text, True)
    for box in filter(None, boxes):
        ink.paste(0, _wide(box))
    faint = Image.eval(ink, lambda value: value > FAINT and 255)
    return faint.getbbox() is not None


def _wide(box: Box) -> Box:
    """A box with its margin."""
    left, top, right, bottom = box
    margin = 1 + round(MARGIN * (bottom - top))
    return max(0, left - margin), max(0, top - margin), right + margin, bottom + margin


def _boxes(page: Any, bitmap: Any, places: Sequence[int]) -> list[Box | None]:
    """Where each character stands in the picture; None where it takes no room."""
    chars, position = page.get_textpage(), bitmap.get_posconv(page)
    boxes: list[Box | None] = []
    for index in places:
        # What is inked, and the room that the font gives it: either may be the larger one.
        edges = [chars.get_charbox(index, loose=loose) for loose in (False, True)]
        corners = [
            position.to_bitmap(x, y)
            for left, bottom, right, top in edges
            if right > left and top > bottom
            for x, y in ((left, bottom), (right, top))
        ]
        if not corners:
            boxes.append(None)
            continue
        xs, ys = zip(*corners, strict=True)
        boxes.append((min(xs), min(ys), max(xs), max(ys)))
    return boxes


def _union(a: Box, b: Box) -> Box:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def _runs(boxes: Sequence[Box | None]) -> Iterator[Box]:
    """One box for characters that stand side by side: the gaps between them would tell how wide they were."""
    run = last = None
    for box in filter(None, boxes):
        if run is not None and last is not None and _is_beside(last, box):
            run = _union(run, box)
        else:
            if run is not None:
                yield run
            run = box
        last = box
    if run is not None:
        yield run


def _is_beside(one: Box, other: Box) -> bool:
    """Whether two characters share most of their height (of a line), or of their width (of a column)."""
    height = min(one[3], other[3]) - max(one[1], other[1])
    width = min(one[2], other[2]) - max(one[0], other[0])
    return height > 0.8 * min(one[3] - one[1], other[3] - other[1]) or (
        width > 0.8 * min(one[2] - one[0], other[2] - other[0])
    )


def _lines(text: str, boxes: Sequence[Box | None], edits: Sequence[Edit]) -> Iterator[tuple[str, Box]]:
    """Each line of the new text with the room of the old one; what goes over several stands in the first."""
    start = 0
    for line in text.splitlines(keepends=True):
        end = start + len(line)
        inside = [
            (max(a, start) - start, min(b, end) - start, new if a >= start else "")
            for a, b, new in edits
            if a < end and b > start
        ]
        new = " ".join(applied(line, inside).split())
        room = list(filter(None, boxes[start:end]))
        if new and room:
            box = room[0]
            for other in room[1:]:
                box = _union(box, other)
            yield new, box
        start = end
