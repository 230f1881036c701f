"""PDF files: what is written shows the pages with boxes, and holds nothing of the values in any form."""

import io
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving import redact, restore

pytest.importorskip("pypdfium2")
pikepdf = pytest.importorskip("pikepdf")
canvases = pytest.importorskip("reportlab.pdfgen.canvas")

PHONE, OTHER, MAIL, NAME = "13800138000", "139-1234-5678", "a.b@contoso.com", "欧阳明"
VALUES = (PHONE, OTHER, OTHER.replace("-", ""), MAIL, "contoso", NAME)
SIZE = (300.0, 400.0)

Draw = Callable[[Any], None]


def made(path: Path, *pages: Draw) -> Path:
    """A PDF by ReportLab; its fonts: SONG has Chinese and is not embedded, Vera is a subset of TrueType."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfbase.ttfonts import TTFont

    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    pdfmetrics.registerFont(TTFont("Vera", "Vera.ttf"))
    canvas = canvases.Canvas(str(path), pagesize=SIZE)
    for draw in pages:
        draw(canvas)
        canvas.showPage()
    canvas.save()
    return path


def text(line: str, y: float = 300, font: str = "Vera", size: float = 10) -> Draw:
    def draw(canvas: Any) -> None:
        canvas.setFont(font, size)
        canvas.drawString(20, y, line)

    return draw


def contract(canvas: Any) -> None:
    canvas.setAuthor(NAME)
    canvas.setTitle(f"{NAME} {PHONE}")
    canvas.bookmarkPage("top")
    canvas.addOutlineEntry(f"{NAME} {PHONE}", "top")
    canvas.linkURL(f"mailto:{MAIL}", (20, 300, 120, 320))
    text(f"姓名：{NAME}，电话{PHONE}，好的", 340, "STSong-Light", 12)(canvas)
    text(f"Call {OTHER} now", 300, "Helvetica", 12)(canvas)
    text(f"mail {MAIL}, thanks", 260)(canvas)
    canvas.rect(15, 200, 200, 40)


def run(source: Path, out: Path, *options: str) -> int:
    return redact.main([str(source), "-o", str(out), "--detectors", "patterns", "--quiet", *options])


def refusal(source: Path) -> str:
    """Why a file is refused; it must leave no result."""
    out = source.with_name("out.pdf")
    assert run(source, out) == 3
    assert not out.exists()
    reason: str = json.loads(Path(f"{out}.bad.jsonl").read_bytes())["reason"]
    return reason


def pages_of(content: bytes) -> list[str]:
    """The text of each page, without spaces, as a second library reads it."""
    from pdfminer.high_level import extract_pages
    from pdfminer.layout import LTTextContainer

    return [
        "".join("".join(box.get_text() for box in page if isinstance(box, LTTextContainer)).split())
        for page in extract_pages(io.BytesIO(content))
    ]


def raw_of(content: bytes) -> Iterator[bytes]:
    """The file, every stream of it decompressed, and every string in it."""
    yield content
    with pikepdf.open(io.BytesIO(content)) as document:
        for one in document.objects:
            if isinstance(one, pikepdf.Stream) and one.get("/Subtype") != "/Image":
                yield one.read_bytes()
            yield one.unparse(resolved=True) if not isinstance(one, pikepdf.Stream) else b""


def traces(content: bytes) -> list[str]:
    """The values that stand anywhere in a file, as bytes of any usual encoding or as digits of them."""
    parts = list(raw_of(content))
    found = []
    for value in VALUES:
        encoded = [value.encode(code) for code in ("utf-8", "utf-16-be", "gb18030")]
        forms = [
            *encoded,
            *(one.hex().encode() for one in encoded),
            *(one.hex().upper().encode() for one in encoded),
        ]
        if any(form in part for form in forms for part in parts):
            found.append(value)
    return found


def picture(content: bytes, index: int = 0, scale: float = 2.0) -> Any:
    import numpy as np
    import pypdfium2

    with pypdfium2.PdfDocument(content) as document:
        return np.asarray(document[index].render(scale=scale, draw_annots=False).to_pil().convert("L")).copy()


def ink_that_stays(old: Any, new: Any, where: Any) -> float:
    """The share of dark pixels, of those in some places, that have a darkened one in their neighbourhood."""
    import numpy as np

    dark = np.argwhere((old < 100) & where)
    near = [new[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].min() < 160 for y, x in dark]
    assert len(near) > 100
    return float(np.mean(near))


def inked(content: bytes, value: str, scale: float = 2.0) -> tuple[int, int, int, int]:
    """Where a value stands on the first page, in pixels: left, top, right, bottom."""
    import pypdfium2

    with pypdfium2.PdfDocument(content) as document:
        chars = document[0].get_textpage()
        start, count = chars.search(value).get_next()
        boxes = [chars.get_charbox(at) for at in range(start, start + count)]
        height = document[0].get_height()
    left, bottom = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, top = max(box[2] for box in boxes), max(box[3] for box in boxes)
    return (
        int(left * scale),
        int((height - top) * scale),
        int(right * scale),
        int((height - bottom) * scale),
    )


def test_a_redacted_pdf_looks_the_same_and_holds_no_value_in_any_form(tmp_path: Path) -> None:
    source, out = made(tmp_path / "a.pdf", contract), tmp_path / "out.pdf"
    assert run(source, out) == 0
    before, after = source.read_bytes(), out.read_bytes()
    # The same search finds them in the original: it can fail.
    assert traces(before)
    assert PHONE in pages_of(before)[0]
    assert traces(after) == []
    (read,) = pages_of(after)
    assert not any(value in read for value in VALUES)
    assert "姓名：<PERSON_NAME>，电话<PHONE_NUMBER>，好的" in read
    assert "Call<PHONE_NUMBER>now" in read
    assert "mail<EMAIL_ADDRESS>,thanks" in read
    old, new = picture(before), picture(after)
    assert old.shape == new.shape
    covered = old < 0
    for value in (NAME, PHONE, OTHER, MAIL):
        left, top, right, bottom = inked(before, value)
        assert old[top:bottom, left:right].mean() > 60
        assert new[top:bottom, left:right].max() == 0
        covered[top - 12 : bottom + 12, left - 8 : right + 8] = True
    assert ink_that_stays(old, new, ~covered) > 0.99
    assert ink_that_stays(new, old, ~covered) > 0.99


def test_nothing_but_pages_and_their_text_goes_into_the_new_file(tmp_path: Path) -> None:
    source, out = made(tmp_path / "a.pdf", contract, text("好", font="STSong-Light")), tmp_path / "out.pdf"
    assert run(source, out) == 0
    with pikepdf.open(out) as document:
        assert set(document.Root.keys()) == {"/Type", "/Pages"}
        assert "/Info" not in document.trailer
        assert len(document.pages) == 2
        for page in document.pages:
            assert set(page.obj.keys()) == {"/Type", "/Parent", "/MediaBox", "/Resources", "/Contents"}
            assert [float(edge) for edge in page.mediabox] == [0, 0, *SIZE]


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    source = made(tmp_path / "a.pdf", contract)
    outs = [tmp_path / "one.pdf", tmp_path / "two.pdf"]
    for out in outs:
        assert run(source, out) == 0
    assert outs[0].read_bytes() == outs[1].read_bytes()


def test_a_name_on_one_page_is_hidden_on_the_others_and_over_a_line_break(tmp_path: Path) -> None:
    def second(canvas: Any) -> None:
        text(f"后来{NAME}没有来", 300, "STSong-Light")(canvas)
        text("mail a.b@con", 200)(canvas)
        text("toso.com or 138001", 188)(canvas)

    source = made(tmp_path / "a.pdf", text(f"姓名：{NAME}", 300, "STSong-Light"), second)
    assert run(source, tmp_path / "out.pdf") == 0
    first, other = pages_of((tmp_path / "out.pdf").read_bytes())
    assert first == "姓名：<PERSON_NAME>"
    assert other.startswith("后来<PERSON_NAME>没有来")


def test_what_a_policy_keeps_has_no_box_and_a_surrogate_stands_in_the_text(tmp_path: Path) -> None:
    source, out = made(tmp_path / "a.pdf", text(f"Call {OTHER}, mail {MAIL}")), tmp_path / "out.pdf"
    (tmp_path / "p.yaml").write_text(
        "types: {PHONE_NUMBER: {operator: keep}, EMAIL_ADDRESS: {operator: mask}}\n"
    )
    assert run(source, out, "--policy", str(tmp_path / "p.yaml")) == 0
    assert (
        pages_of(out.read_bytes()) == [f"Call{OTHER},mail{'*' * len(MAIL)}"]
        or MAIL not in pages_of(out.read_bytes())[0]
    )
    left, top, right, bottom = inked(source.read_bytes(), OTHER)
    assert picture(out.read_bytes())[top:bottom, left:right].mean() > 60
    left, top, right, bottom = inked(source.read_bytes(), MAIL)
    assert picture(out.read_bytes())[top:bottom, left:right].max() == 0


def test_a_page_of_many_letters_can_be_read_again(tmp_path: Path) -> None:
    """More characters than a font of the text has codes."""
    lines = ["".join(chr(0x4E00 + 30 * line + at) for at in range(24)) for line in range(25)]

    def draw(canvas: Any) -> None:
        for number, line in enumerate(lines):
            text(line, 380 - 14 * number, "STSong-Light")(canvas)

    source = made(tmp_path / "a.pdf", draw)
    before = pages_of(source.read_bytes())
    assert run(source, tmp_path / "out.pdf") == 0
    after = pages_of((tmp_path / "out.pdf").read_bytes())
    assert sorted(after[0]) == sorted(before[0])
    assert len(set(after[0])) > 512


def test_turned_pages_and_turned_texts_are_covered(tmp_path: Path) -> None:
    def turned(canvas: Any) -> None:
        canvas.setPageRotation(90)
        canvas.saveState()
        canvas.translate(60, 60)
        canvas.rotate(35)
        text(f"Call {OTHER} now", 0)(canvas)
        canvas.restoreState()

    source, out = made(tmp_path / "a.pdf", turned), tmp_path / "out.pdf"
    assert run(source, out) == 0
    assert traces(out.read_bytes()) == []
    old, new = picture(source.read_bytes()), picture(out.read_bytes())
    assert old.shape == new.shape
    everywhere = old >= 0
    # All of the words is there, beside a box that is darker than they were.
    assert ink_that_stays(old, new, everywhere) > 0.99
    assert (new < 50).sum() > 3 * (old < 50).sum()
    assert len(pages_of(out.read_bytes())[0]) >= len("Call<PHONE_NUMBER>now")


# --- what is refused ---------------------------------------------------------------------------------


def edited(path: Path, edit: Callable[[Any], None], **options: Any) -> Path:
    with pikepdf.open(path, allow_overwriting_input=True) as document:
        edit(document)
        document.save(path, **options)
    return path


def grey(width: int = 60, height: int = 80) -> Any:
    from PIL import Image
    from reportlab.lib.utils import ImageReader

    return ImageReader(Image.new("L", (width, height), 128))


def form(canvas: Any) -> None:
    text("a form")(canvas)
    canvas.acroForm.textfield(name="who", value=OTHER, x=20, y=20)


def scan(canvas: Any) -> None:
    canvas.drawImage(grey(), 0, 0, *SIZE)


def read_scan(canvas: Any) -> None:
    canvas.drawImage(grey(), 20, 290, 100, 30)
    behind = canvas.beginText(20, 300)
    behind.setFont("Vera", 10)
    behind.setTextRenderMode(3)
    behind.textLine(PHONE)
    canvas.drawText(behind)


def outlines_of_letters(canvas: Any) -> None:
    canvas.line(10, 10, 100, 100)


def crowded(canvas: Any) -> None:
    """A number digit by digit, so narrow that PDFium takes the second of two zeros for the first again."""
    for digit in PHONE:
        text(digit)(canvas)
        canvas.translate(2, 0)


def shifted_coat(canvas: Any) -> None:
    """A word painted twice: PDFium reads it once, and the second coat stands out from under the first."""
    text(f"mail {MAIL}")(canvas)
    canvas.translate(5, 0)
    text(f"mail {MAIL}")(canvas)


@pytest.mark.parametrize(
    ("draw", "reason"),
    [
        (form, "has_form"),
        (scan, "page_without_text"),
        (lambda canvas: (scan(canvas), text("x")(canvas)), "page_is_picture"),
        (read_scan, "page_is_picture"),
        (outlines_of_letters, "page_without_text"),
        (crowded, "unreadable_text"),
        (shifted_coat, "unreadable_text"),
    ],
)
def test_pages_that_show_more_than_is_read_are_refused(tmp_path: Path, draw: Draw, reason: str) -> None:
    assert refusal(made(tmp_path / "a.pdf", text("a page before"), draw)) == reason


def without_map(document: Any) -> None:
    for one in document.objects:
        if isinstance(one, pikepdf.Dictionary) and "/ToUnicode" in one:
            del one.ToUnicode


def own_alphabet(document: Any) -> None:
    """A font whose digits say that they are private characters, as pages do that want no readers."""
    for one in document.objects:
        if isinstance(one, pikepdf.Dictionary) and "/ToUnicode" in one:
            plain = one.ToUnicode.read_bytes()
            one.ToUnicode = document.make_stream(plain.replace(b"<003", b"<E03"))


def lying_font(document: Any) -> None:
    """A font of drawings, each far above the place and the height that it states."""
    Array, Dictionary, Name = pikepdf.Array, pikepdf.Dictionary, pikepdf.Name
    letters = sorted(set(f"Call {OTHER}"))
    mapped = "".join(f"<{ord(char):02x}> <{ord(char):04x}>\n" for char in letters)
    to_unicode = (
        f"1 begincodespacerange <00> <ff> endcodespacerange {len(letters)} beginbfchar {mapped}endbfchar"
    )
    font = Dictionary(
        Type=Name.Font, Subtype=Name.Type3, FontBBox=Array([0, 0, 500, 500]), FirstChar=0, LastChar=127,
        FontMatrix=Array([0.001, 0, 0, 0.001, 0, 0]), Widths=Array([600] * 128), Resources=Dictionary(),
        Encoding=Dictionary(Type=Name.Encoding, Differences=Array([0, *[Name.x] * 128])),
        CharProcs=Dictionary(x=document.make_stream(b"600 0 0 0 500 500 d1 0 4000 500 500 re f")),
        ToUnicode=document.make_stream(to_unicode.encode()),
    )  # fmt: skip
    page = document.pages[0].obj
    page.Resources = Dictionary(Font=Dictionary(F=document.make_indirect(font)))
    page.Contents = document.make_stream(f"BT /F 10 Tf 20 100 Td (Call {OTHER}) Tj ET".encode())


def pattern(document: Any) -> None:
    resources = document.pages[0].obj.Resources
    watermark = document.make_stream(f"BT /F1 8 Tf ({PHONE}) Tj ET".encode())
    for key, value in {
        "/PatternType": 1,
        "/PaintType": 1,
        "/TilingType": 1,
        "/XStep": 50,
        "/YStep": 50,
    }.items():
        watermark[key] = value
    watermark.BBox = pikepdf.Array([0, 0, 50, 50])
    watermark.Resources = pikepdf.Dictionary(Font=resources.Font)
    resources.Pattern = pikepdf.Dictionary(P=watermark)


def mask(document: Any) -> None:
    group = document.make_stream(f"BT /F1 8 Tf ({PHONE}) Tj ET".encode())
    state = pikepdf.Dictionary(SMask=pikepdf.Dictionary(S=pikepdf.Name.Luminosity, G=group))
    document.pages[0].obj.Resources.ExtGState = pikepdf.Dictionary(G=state)


def note(document: Any) -> None:
    document.pages[0].obj.Annots = pikepdf.Array(
        [
            pikepdf.Dictionary(
                Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Text, Rect=[0, 0, 9, 9], Contents=PHONE
            )
        ]
    )


def attached(document: Any) -> None:
    document.attachments["a.txt"] = PHONE.encode()


def signature(document: Any) -> None:
    signed = pikepdf.Dictionary(Type=pikepdf.Name.Sig, Filter=pikepdf.Name("/Adobe.PPKLite"), Contents=b"0")
    field = document.make_indirect(
        pikepdf.Dictionary(FT=pikepdf.Name.Sig, T="s", V=document.make_indirect(signed))
    )
    document.Root.AcroForm = pikepdf.Dictionary(Fields=pikepdf.Array([field]), SigFlags=3)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (without_map, "unreadable_text"),
        (own_alphabet, "unreadable_text"),
        (lying_font, "unreadable_text"),
        (pattern, "unreadable_text"),
        (mask, "unreadable_text"),
        (note, "has_notes"),
        (attached, "has_attachments"),
        (signature, "has_signature"),
    ],
)
def test_files_with_more_than_pages_of_text_are_refused(
    tmp_path: Path, edit: Callable[[Any], None], reason: str
) -> None:
    source = made(tmp_path / "a.pdf", text(f"Call {OTHER}"))
    assert run(source, tmp_path / "plain.pdf") == 0
    assert refusal(edited(source, edit)) == reason


@pytest.mark.parametrize("password", ["", "x"])
def test_an_encrypted_file_is_refused_even_where_anybody_may_open_it(tmp_path: Path, password: str) -> None:
    source = made(tmp_path / "a.pdf", text("x"))
    edited(source, lambda _: None, encryption=pikepdf.Encryption(owner="o", user=password))
    assert refusal(source) == "encrypted"


def test_what_is_no_pdf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7 and no more")
    assert refusal(tmp_path / "a.pdf") == "not_pdf"


def test_a_redacted_pdf_does_not_open_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "key").write_text("5a" * 32)
    source = made(tmp_path / "a.pdf", text("x"))
    arguments = [
        str(source),
        "-o",
        str(tmp_path / "back.pdf"),
        "--key-file",
        str(tmp_path / "key"),
        "--quiet",
    ]
    assert restore.main(arguments) == 2
    assert "pictures" in capsys.readouterr().err


@pytest.mark.slow
def test_what_a_browser_prints_is_redacted(tmp_path: Path) -> None:
    """Another maker of PDF: subsets of TrueType, ligatures, tables, a tagged structure."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no browser: chromium is not installed")
    row = f"<tr><td>姓名</td><td>{NAME}</td><td>{PHONE}</td></tr>"
    head = f"<meta charset=utf-8><title>{NAME}</title><h1 style='color:#c00'>合同</h1>"
    page = f"{head}<table border=1>{row * 60}</table><p>office {MAIL}"
    (tmp_path / "a.html").write_text(page, encoding="utf-8")
    subprocess.run(
        [browser, "--headless", "--no-sandbox", f"--user-data-dir={tmp_path / 'profile'}",
         f"--print-to-pdf={tmp_path / 'a.pdf'}", "--no-pdf-header-footer", str(tmp_path / "a.html")],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    assert any(NAME in page for page in pages_of((tmp_path / "a.pdf").read_bytes()))
    assert run(tmp_path / "a.pdf", tmp_path / "out.pdf") == 0
    after = (tmp_path / "out.pdf").read_bytes()
    assert traces(after) == []
    read = "".join(pages_of(after))
    assert not any(value in read for value in VALUES)
    assert read.count("<PERSON_NAME>") == 60
    assert read.count("<PHONE_NUMBER>") == 60
