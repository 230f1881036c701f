"""Small PDF files that ask for any amount of memory or time: refused by name or redacted, within bounds."""

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pii.errors import RequestError
from serving.files import pdf
from serving.files.isolation import MAX_MEMORY_BYTES, Isolated
from serving.redact import main

pytest.importorskip("pypdfium2")
pikepdf = pytest.importorskip("pikepdf")
canvases = pytest.importorskip("reportlab.pdfgen.canvas")

PHONE = "13800138000"
MIB = 1 << 20

Change = Callable[[Any], None]


def page(path: Path, width: float = 300, height: float = 400) -> Path:
    """A file with one page of text, which alone would be redacted."""
    canvas = canvases.Canvas(str(path), pagesize=(width, height))
    canvas.drawString(20, height - 40, f"Call {PHONE} now")
    canvas.save()
    return path


def changed(path: Path, change: Change) -> Path:
    page(path)
    with pikepdf.open(path, allow_overwriting_input=True) as document:
        change(document)
        document.save(path, object_stream_mode=pikepdf.ObjectStreamMode.generate)
    return path


def deflated(num_bytes: int) -> bytes:
    """So many spaces, a thousandth of them to store: one block of them again and again."""
    block = b" " * MIB
    packer = zlib.compressobj(9, wbits=-15)
    packed = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    number, check = num_bytes // MIB, 1
    for _ in range(number):
        check = zlib.adler32(block, check)
    end = zlib.compressobj(9, wbits=-15).flush()
    return b"\x78\xda" + packed * number + end + check.to_bytes(4, "big")


def painted(document: Any, stream: Any) -> None:
    """Let a stream be painted behind what the page shows."""
    first = document.pages[0].obj
    first.Contents = pikepdf.Array([first.Contents, document.make_indirect(stream)])


def inflates(num_bytes: int, times: int = 1) -> Change:
    """A page whose commands are packed, `times` times over."""

    def change(document: Any) -> None:
        content = deflated(num_bytes)
        for _ in range(times - 1):
            content = zlib.compress(content, 9)
        stream = pikepdf.Stream(document, b"")
        stream.write(content, filter=pikepdf.Array([pikepdf.Name.FlateDecode] * times))
        painted(document, stream)

    return change


def form(document: Any, commands: bytes, inner: Any = None) -> Any:
    made = document.make_stream(
        commands, Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Form, BBox=pikepdf.Array([0, 0, 9, 9])
    )
    made.Resources = pikepdf.Dictionary()
    if inner is not None:
        made.Resources.XObject = pikepdf.Dictionary(F=inner)
    return made


def fan(document: Any) -> None:
    """Forms that paint the next one ten times each: 10¹² strokes."""
    inner = form(document, b"0 0 m 1 1 l S")
    for _ in range(12):
        inner = form(document, b"/F Do " * 10, inner)
    document.pages[0].Resources.XObject = pikepdf.Dictionary(F=inner)
    painted(document, document.make_stream(b"/F Do"))


def form_in_itself(document: Any) -> None:
    loop = form(document, b"/F Do")
    loop.Resources.XObject = pikepdf.Dictionary(F=loop)
    document.pages[0].Resources.XObject = pikepdf.Dictionary(F=loop)
    painted(document, document.make_stream(b"/F Do"))


def picture(document: Any) -> None:
    """432 MB of pixels on a hundredth of the page."""
    side = 12_000
    image = pikepdf.Stream(document, b"", Subtype=pikepdf.Name.Image, Width=side, Height=side)
    image.Type, image.ColorSpace, image.BitsPerComponent = pikepdf.Name.XObject, pikepdf.Name.DeviceRGB, 8
    image.write(deflated(3 * side * side), filter=pikepdf.Name.FlateDecode)
    document.pages[0].Resources.XObject = pikepdf.Dictionary(Im=document.make_indirect(image))
    painted(document, document.make_stream(b"q 10 0 0 10 100 100 cm /Im Do Q"))


def pages(number: int) -> Change:
    """The same page again and again."""

    def change(document: Any) -> None:
        document.Root.Pages.Kids = pikepdf.Array([document.pages[0].obj] * number)
        document.Root.Pages.Count = number

    return change


def pages_in_themselves(document: Any) -> None:
    document.Root.Pages.Kids.append(document.Root.Pages)
    document.Root.Pages.Count = 2


def box(width: float, height: float) -> Change:
    def change(document: Any) -> None:
        document.pages[0].obj.MediaBox = pikepdf.Array([0, 0, width, height])

    return change


def strokes(document: Any) -> None:
    """Three million of them: a minute of drawing."""
    painted(document, document.make_stream(b"0 0 m 200 200 l S " * 3_000_000))


def nested(path: Path) -> Path:
    """An array in an array, a hundred thousand times."""
    page(path)
    with pikepdf.open(path, allow_overwriting_input=True) as document:
        document.Root.Deep = document.make_indirect(pikepdf.Dictionary(A=pikepdf.String("MARK")))
        document.save(path, object_stream_mode=pikepdf.ObjectStreamMode.disable)
    path.write_bytes(path.read_bytes().replace(b"(MARK)", b"[" * 100_000 + b"]" * 100_000))
    return path


def table_before_itself(path: Path) -> Path:
    """A table of objects that names itself as the one before it."""
    page(path)
    content = path.read_bytes()
    start = int(content[content.rindex(b"startxref") + 9 :].split()[0])
    head, tail = content[:start], content[start:]
    path.write_bytes(head + tail.replace(b"<<", b"<< /Prev %d " % start, 1))
    return path


REFUSED: dict[str, tuple[Change, str]] = {
    "inflates": (inflates(1024 * MIB), "too_complex"),
    "inflates-twice": (inflates(1024 * MIB, times=2), "too_complex"),
    "fan": (fan, "too_complex"),
    "pages": (pages(100_000), "too_many_pages"),
    "pages-in-themselves": (pages_in_themselves, "not_pdf"),
    "huge": (box(2e9, 2e9), "page_size"),
    "thin": (box(0.001, 300), "page_size"),
}
REDACTED: dict[str, Callable[[Path], Path]] = {
    "200-inches": lambda path: page(path, pdf.MAX_POINTS, pdf.MAX_POINTS),
    "picture": lambda path: changed(path, picture),
    "form-in-itself": lambda path: changed(path, form_in_itself),
    "nested": nested,
    "table": table_before_itself,
    "innocent": page,
}

_JOB = """
import resource, sys
from evaluation.memory import PeakMemory
from serving import redact
from serving.files.pdf import _APART
peak = PeakMemory()
code = redact.main(sys.argv[1:])
_APART._end()
print(code, round(peak.read_mb()), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""
"""Not ru_maxrss of the job itself: it begins with what the process of the tests held when it forked."""


@pytest.mark.slow
def test_a_folder_of_bombs_is_a_list_of_refusals_within_the_bound_of_memory(tmp_path: Path) -> None:
    top = tmp_path / "in"
    top.mkdir()
    for name, (change, _) in REFUSED.items():
        assert changed(top / f"{name}.pdf", change).stat().st_size < 2 * MIB
    for name, make in REDACTED.items():
        assert make(top / f"{name}.pdf").stat().st_size < MIB
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    options = ["--detectors", "patterns", "--quiet", "--workers", "0"]
    ran = subprocess.run(
        [sys.executable, "-c", _JOB, str(top), "-o", str(tmp_path / "out"), *options],
        env=environment, stdout=subprocess.PIPE, check=True, timeout=300,
    )  # fmt: skip
    code, own_mib, apart_mib = map(int, ran.stdout.split())
    assert code == 3
    bad = [json.loads(line) for line in (tmp_path / "out.bad.jsonl").read_text().splitlines()]
    assert {one["file"]: one["reason"] for one in bad} == {
        f"{name}.pdf": reason for name, (_, reason) in REFUSED.items()
    }
    written = {path.name: path for path in (tmp_path / "out").iterdir()}
    assert written.keys() == {f"{name}.pdf" for name in REDACTED}
    for path in written.values():
        assert text_of(path) == "Call <PHONE_NUMBER> now"
    assert own_mib < 256
    assert apart_mib < MAX_MEMORY_BYTES // MIB


def text_of(path: Path) -> str:
    from pdfminer.high_level import extract_text

    return " ".join(extract_text(path).split())


def within_a_second(content: bytes) -> list[tuple[str, tuple[int, ...]]]:
    """What is called in the other process, with a smaller allowance."""
    pdf.MAX_SECONDS = pdf.SECONDS_A_PAGE = 0  # type: ignore[misc, assignment]
    return pdf._texts(content)


@pytest.mark.slow
def test_a_page_that_takes_too_long_is_refused(tmp_path: Path) -> None:
    apart = Isolated()
    innocent = page(tmp_path / "a.pdf").read_bytes()
    assert f"Call {PHONE} now" in apart.call(within_a_second, innocent)[0][0]
    with pytest.raises(RequestError) as raised:
        apart.call(within_a_second, changed(tmp_path / "b.pdf", strokes).read_bytes())
    assert raised.value.code == "too_complex"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (pages(pdf.MAX_PAGES + 1), "too_many_pages"),
        (box(0.5, 300), "page_size"),
        (box(300, 14_401), "page_size"),
    ],
)
def test_limits_are_what_they_say(tmp_path: Path, change: Change, reason: str) -> None:
    source, out = changed(tmp_path / "a.pdf", change), tmp_path / "out.pdf"
    assert main([str(source), "-o", str(out), "--detectors", "patterns", "--quiet"]) == 3
    assert json.loads(Path(f"{out}.bad.jsonl").read_bytes())["reason"] == reason
    assert not out.exists()
