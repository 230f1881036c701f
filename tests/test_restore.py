"""``pii restore``: what was sealed comes back in every format, with its key alone, whole or not at all."""

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pii.redaction import Encrypt, Policy, RedactionKey, redact, unseal
from pii.redaction.keys import ENVIRONMENT
from pii.spans import Span
from serving import redact as redact_command
from serving import restore
from serving.files.lines import Jsonl, Text
from serving.files.records import Edit, Format, Record
from serving.files.tables import Table
from tests.strategies import texts

PHONE, OTHER, MAIL = "13800138000", "13912345678", "a.b@contoso.com"
KEY = RedactionKey(b"\x5a" * 32)


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Paths of the right key and of another."""
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    (tmp_path / "seal.yaml").write_text("default: {operator: encrypt}\n")
    (tmp_path / "key").write_text("5a" * 32)
    (tmp_path / "other").write_text("5b" * 32)
    return str(tmp_path / "key"), str(tmp_path / "other")


def seal(source: Path | str, out: Path | str, *options: str) -> None:
    top = Path(source).parent if "://" not in str(source) else Path.cwd()
    policy = ("--policy", str(top / "seal.yaml"), "--key-file", str(top / "key"))
    arguments = [str(source), "-o", str(out), "--detectors", "patterns", "--quiet"]
    assert redact_command.main([*arguments, *policy, *options]) == 0


def opened(source: Path | str, out: Path | str, key: str, *options: str) -> int:
    return restore.main([str(source), "-o", str(out), "--key-file", key, "--quiet", *options])


def unzst(content: bytes) -> bytes:
    zstandard = pytest.importorskip("zstandard")
    reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(content), read_across_frames=True)
    return bytes(reader.read())


ROW = {"id": 1.5, "text": f'电话{PHONE}，"引"\\号，邮箱{MAIL}', "m": [{"c": f"再拨{OTHER}"}]}
LIKE = f"[pii1:PERSON_NAME:AAAA] <PERSON_NAME> {PHONE}"
PAGE = (
    f"<html><!-- {PHONE} --><script>var u = \"https://a.contoso.com/?a=1&b=2\", p = '{PHONE}';</script>"
    f'<p>密码是a&lt;b&quot;1x，<b>电话</b>{PHONE}</p><a href="mailto:{MAIL}" title=x>&#24352;</a></html>'
)

FILES: list[tuple[str, bytes, tuple[str, ...]]] = [
    ("rows.jsonl", json.dumps(ROW, ensure_ascii=False).encode() + b"\n", ()),
    ("crlf.jsonl", json.dumps(ROW, ensure_ascii=False).encode() + b'\r\n{"text":"\xe5\xa5\xbd"}', ()),
    ("escaped.jsonl", (json.dumps(ROW) + "\n").encode(), ()),
    ("paths.jsonl", json.dumps(ROW, ensure_ascii=False).encode(), ("--columns", "$.m[*].c")),
    ("twice.jsonl", f'{{"text":"{PHONE}","m":{{"a":1,"a":2}}}}\n'.encode(), ()),
    ("like.jsonl", json.dumps({"text": LIKE}).encode() + b"\n", ()),
    ("doc.json", json.dumps([ROW, {"n": None}], ensure_ascii=False, indent=2).encode(), ()),
    ("table.csv", f'id,备注\r\n1,"请打""{PHONE}"",\r\n谢谢"\r\n2,{PHONE}\r\n3,\r\n'.encode(), ()),
    ("table.tsv", f"a\tb\n{PHONE}\t好\n".encode(), ()),
    ("gb.csv", f"备注;n\n电话{PHONE};1\n".encode("gb18030"), ("--encoding", "gb18030")),
    ("note.txt", f"\ufeff电话{PHONE}\r\n\r\n邮箱{MAIL}".encode(), ()),
    ("note.md", f"# 甲\n\n- **{PHONE}** [x](mailto:{MAIL})\n".encode(), ()),
    ("page.html", PAGE.encode(), ()),
]


@pytest.mark.parametrize(("name", "content", "options"), FILES, ids=[name for name, _, _ in FILES])
@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
def test_text_formats_come_back_byte_for_byte(
    tmp_path: Path,
    keys: tuple[str, str],
    name: str,
    content: bytes,
    options: tuple[str, ...],
    ending: str,
) -> None:
    unpack: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.decompress, ".zst": unzst}
    source, out, back = (tmp_path / f"{part}{name}{ending}" for part in ("", "out-", "back-"))
    packed = content
    if ending == ".gz":
        packed = gzip.compress(content)
    elif ending == ".zst":
        packed = pytest.importorskip("zstandard").ZstdCompressor().compress(content)
    source.write_bytes(packed)
    seal(source, out, *options)
    hidden = unpack[ending](out.read_bytes())
    assert b"[pii1:" in hidden
    assert hidden != content
    for value in (PHONE, MAIL) if not options else (OTHER,) if name == "paths.jsonl" else (PHONE,):
        assert value.encode() not in hidden
    assert opened(out, back, keys[0], *(options if "--encoding" in options else ())) == 0
    assert unpack[ending](back.read_bytes()) == content


def table() -> Any:
    pa = pytest.importorskip("pyarrow")
    return pa.table(
        {
            "id": pa.array(range(8), pa.int16()),
            "note": pa.array([f"电话{PHONE}", None, "好", *[f"{n} {OTHER}" for n in range(5)]]),
            "tags": pa.array([[PHONE, None], [], None, ["x"], *[["y"]] * 4], pa.list_(pa.large_string())),
            "turns": pa.array(
                [[[PHONE], [None, f"拨{OTHER}"]], None, *[[]] * 6], pa.list_(pa.list_(pa.string()))
            ),
            "kind": pa.array([f"手机{PHONE}", "b"] * 4).dictionary_encode(),
            "when": pa.array(range(8), pa.timestamp("us", tz="Asia/Shanghai")),
        }
    ).replace_schema_metadata({"made by": "us"})


def test_a_parquet_file_comes_back_with_its_values_types_schema_and_codec(
    tmp_path: Path, keys: tuple[str, str]
) -> None:
    before = table()
    import pyarrow.parquet as pq

    pq.write_table(before, tmp_path / "a.parquet", row_group_size=3, compression="zstd")
    seal(tmp_path / "a.parquet", tmp_path / "out.parquet", "--set", "shard_rows=2")
    hidden = pq.read_table(tmp_path / "out.parquet")
    for column in ("note", "tags", "turns", "kind"):
        written = str(hidden.column(column).to_pylist())
        assert "[pii1:PHONE_NUMBER:" in written
        assert not any(value in written for value in (PHONE, OTHER))
    assert opened(tmp_path / "out.parquet", tmp_path / "back.parquet", keys[0]) == 0
    after = pq.read_table(tmp_path / "back.parquet")
    assert after.schema.equals(pq.read_table(tmp_path / "a.parquet").schema, check_metadata=True)
    assert after.to_pylist() == before.to_pylist()
    assert pq.read_metadata(tmp_path / "back.parquet").row_group(0).column(0).compression == "ZSTD"


W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
S = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
DOCUMENT = (
    f"<w:document {W}><w:body><w:p><w:r><w:rPr><w:b/></w:rPr><w:t>电话{PHONE}</w:t></w:r>"
    f"<w:r><w:t xml:space='preserve'>，好 </w:t></w:r></w:p><w:p><w:del w:author='x'><w:r>"
    f"<w:delText>{OTHER}</w:delText></w:r></w:del></w:p></w:body></w:document>"
)
LINKS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    f'<Relationship Id="r1" Type="hyperlink" TargetMode="External" Target="mailto:{MAIL}"/></Relationships>'
)
SHEET = (
    f'<worksheet {S}><sheetData><row><c r="A1" t="s"><v>0</v></c><c r="B1" s="3"><v>{PHONE}</v></c>'
    f'<c r="C1"><v>42</v></c><c r="E1" t="inlineStr"><is><t>{OTHER}</t></is></c></row></sheetData>'
    "</worksheet>"
)
SHARED = f"<sst {S}><si><r><t>手机 {OTHER}</t></r><r><t> &amp; 好</t></r></si></sst>"
OFFICE = {
    "a.docx": {"word/document.xml": DOCUMENT, "word/_rels/document.xml.rels": LINKS},
    "a.xlsx": {"xl/worksheets/sheet1.xml": SHEET, "xl/sharedStrings.xml": SHARED},
}


def values_of(path: Path) -> list[str]:
    """Every text and attribute of an archive, in order, as XML reads it."""
    from lxml import etree

    found = []
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            for node in etree.fromstring(archive.read(name)).iter():
                found += [node.text or "", node.get("Target", "")]
    return [value for value in found if value]


@pytest.mark.parametrize("name", OFFICE)
def test_word_and_excel_files_come_back_with_their_texts(
    tmp_path: Path, keys: tuple[str, str], name: str
) -> None:
    pytest.importorskip("lxml")
    with zipfile.ZipFile(tmp_path / name, "w") as made:
        for part, content in OFFICE[name].items():
            made.writestr(part, content)
    seal(tmp_path / name, tmp_path / f"out-{name}")
    hidden = "".join(values_of(tmp_path / f"out-{name}"))
    assert hidden.count("[pii1:") == 3
    assert not any(value in hidden for value in (PHONE, OTHER, MAIL))
    assert opened(tmp_path / f"out-{name}", tmp_path / f"back-{name}", keys[0]) == 0
    assert values_of(tmp_path / f"back-{name}") == values_of(tmp_path / name)


def test_restoring_leaves_the_authors_that_came_after_redaction(
    tmp_path: Path, keys: tuple[str, str]
) -> None:
    pytest.importorskip("lxml")
    token = redact("x", [Span(0, 1, "URL")], Policy(default=Encrypt()), key=KEY).text
    body = (
        f"<w:document {W}><w:p><w:ins w:author='Ann'><w:r><w:t>{token}</w:t></w:r></w:ins></w:p></w:document>"
    )
    core = "<core><creator>Ann</creator></core>"
    with zipfile.ZipFile(tmp_path / "a.docx", "w") as made:
        made.writestr("word/document.xml", body)
        made.writestr("docProps/core.xml", core)
    assert opened(tmp_path / "a.docx", tmp_path / "b.docx", keys[0]) == 0
    with zipfile.ZipFile(tmp_path / "b.docx") as made:
        assert made.read("docProps/core.xml").decode() == core
        assert b'author="Ann"' in made.read("word/document.xml")


# --- what must not be opened -------------------------------------------------------------------------


def make(path: Path) -> Path:
    """A file of the format that its name says, with one value to seal."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        pq.write_table(table().slice(0, 1).select(["id", "note"]), path)
    elif path.suffix == ".docx":
        with zipfile.ZipFile(path, "w") as made:
            made.writestr("word/document.xml", f"<w:document {W}><w:p><w:t>{PHONE}</w:t></w:p></w:document>")
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(b"\n\n" + PHONE.encode()))
    else:
        path.write_text(json.dumps({"text": PHONE}) + "\n")
    return path


def broken(content: str) -> str:
    """A text in which one bit of a token's ciphertext is another."""
    at = content.index("[pii1:PHONE_NUMBER:") + 40
    return content[:at] + ("A" if content[at] != "A" else "B") + content[at + 1 :]


def flip(path: Path) -> None:
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        read = pq.read_table(path)
        notes = pa.array([broken(note) for note in read.column("note").to_pylist()])
        pq.write_table(read.set_column(1, "note", notes), path)
    elif path.suffix == ".docx":
        with zipfile.ZipFile(path) as made:
            content = made.read("word/document.xml").decode()
        with zipfile.ZipFile(path, "w") as made:
            made.writestr("word/document.xml", broken(content))
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(broken(gzip.decompress(path.read_bytes()).decode()).encode()))
    else:
        path.write_text(broken(path.read_text()))


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("a.jsonl", "out-a.jsonl:1"),
        ("a.txt.gz", "out-a.txt.gz:1"),
        ("a.parquet", ":1"),
        ("a.docx", "out-a.docx"),
    ],
)
def test_a_wrong_key_and_a_flipped_bit_are_refused_by_name_and_leave_nothing(
    tmp_path: Path, keys: tuple[str, str], name: str, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out, back = tmp_path / f"out-{name}", tmp_path / "back" / name
    seal(make(tmp_path / name), out)
    capsys.readouterr()
    assert opened(out, back, keys[1]) == 2
    assert f"{out.name}: none of its 1 tokens is of this key" in capsys.readouterr().err
    assert opened(out, back, keys[0], "--tenant", "another") == 2
    assert "another tenant" in capsys.readouterr().err
    flip(out)
    assert opened(out, back, keys[0]) == 2
    said = capsys.readouterr().err
    assert f"{place}: 1 tokens do not open" in said
    assert "[pii1:" not in said
    assert PHONE not in said
    assert not list((tmp_path / "back").iterdir())


def test_a_refused_stream_has_not_begun(
    tmp_path: Path, keys: tuple[str, str], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    source = tmp_path / "a.jsonl"
    source.write_text("".join(json.dumps({"text": f"{PHONE} {n}"}) + "\n" for n in range(3)))
    seal(source, tmp_path / "out.jsonl", "--workers", "0")
    assert opened(tmp_path / "out.jsonl", "-", keys[0]) == 0
    assert capfdbinary.readouterr().out == source.read_bytes()
    lines = (tmp_path / "out.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "out.jsonl").write_text("".join([*lines[:2], broken(lines[2])]))
    assert opened(tmp_path / "out.jsonl", "-", keys[0]) == 2
    assert capfdbinary.readouterr().out == b""


def test_what_does_not_open_is_left_and_counted_where_that_is_asked_for(
    tmp_path: Path, keys: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    sealed = redact(f"{PHONE}{OTHER}", [Span(0, 11, "PHONE_NUMBER"), Span(11, 22, "PHONE_NUMBER")],
                    Policy(default=Encrypt()), key=KEY).text  # fmt: skip
    foreign = redact(PHONE, [Span(0, 11, "URL")], Policy(default=Encrypt()), key=RedactionKey(b"x" * 32)).text
    cut = sealed.rindex("[pii1:")
    (tmp_path / "a.txt").write_text(sealed[:cut] + broken(sealed[cut:]) + foreign)
    caplog.set_level("INFO")
    assert opened(tmp_path / "a.txt", tmp_path / "b.txt", keys[0], "--tolerant") == 3
    assert (tmp_path / "b.txt").read_text() == PHONE + broken(sealed[cut:]) + foreign
    assert "restored 1, foreign 1, refused 1" in caplog.text
    # Two keys take turns: what the first leaves is for the second.
    (tmp_path / "a.txt").write_text(sealed + foreign)
    assert opened(tmp_path / "a.txt", tmp_path / "b.txt", keys[0]) == 3
    assert (tmp_path / "b.txt").read_text() == PHONE + OTHER + foreign


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text":"x"}\nno\n', "a.jsonl:2: cannot be read: not_json"),
        ("a.csv", b"a,b\n1\n", "a.csv:2: cannot be read: wrong_columns"),
        ("a.txt", b"x\n\xff\n", "a.txt:2: cannot be read: not_utf8"),
        ("a.docx", b"PK no", "a.docx: cannot be read: not_office"),
        ("a.parquet", b"no", "not a Parquet file"),
        ("a.txt.gz", gzip.compress(b"x" * 99)[:-9], "damaged or cut off"),
    ],
)
def test_a_file_that_cannot_be_read_whole_is_refused_and_nothing_of_it_is_dropped(
    tmp_path: Path,
    keys: tuple[str, str],
    name: str,
    content: bytes,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / name).write_bytes(content)
    assert opened(tmp_path / name, tmp_path / "back" / name, keys[0]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "back").exists() or not list((tmp_path / "back").iterdir())


def test_without_a_key_nothing_is_restored(
    tmp_path: Path, keys: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("x")
    assert restore.main([str(tmp_path / "a.txt"), "-o", str(tmp_path / "b.txt")]) == 2
    assert ENVIRONMENT in capsys.readouterr().err
    assert opened(tmp_path / "a.txt", tmp_path / "a.txt", keys[0]) == 2
    assert "is the input" in capsys.readouterr().err


# --- folders, addresses, any text --------------------------------------------------------------------


def test_a_folder_and_an_address_come_back(
    tmp_path: Path, keys: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in" / "b").mkdir(parents=True)
    (tmp_path / "in" / "a.txt").write_text(PHONE)
    (tmp_path / "in" / "b" / "c.jsonl").write_text(json.dumps({"text": OTHER}) + "\n")
    seal(tmp_path / "in", tmp_path / "out")
    assert opened(tmp_path / "out", tmp_path / "back", keys[0]) == 0
    for name in ("a.txt", "b/c.jsonl"):
        assert (tmp_path / "back" / name).read_bytes() == (tmp_path / "in" / name).read_bytes()
    memory = pytest.importorskip("fsspec").filesystem("memory")
    monkeypatch.chdir(tmp_path)
    memory.pipe("/restore/a.txt", PHONE.encode())
    seal("memory://restore/a.txt", "memory://restore/out.txt")
    assert PHONE.encode() not in memory.cat("/restore/out.txt")
    assert opened("memory://restore/out.txt", "memory://restore/back.txt", keys[0]) == 0
    assert memory.cat("/restore/back.txt") == PHONE.encode()


def sealed_edits(text: str, cuts: set[int]) -> list[Edit]:
    """Edits that seal every second part between the cuts."""
    places = sorted(cut for cut in cuts if cut <= len(text))
    spans = [Span(a, b, "PERSON_NAME") for a, b in zip(places[::2], places[1::2], strict=False)]
    done = redact(text, spans, Policy(default=Encrypt()), key=KEY)
    return [(one.span.start, one.span.end, done.text[one.start : one.end]) for one in done.replacements]


def read(format: Format, content: bytes) -> list[Record]:
    made, line = [], 1
    for piece in format.pieces(io.BytesIO(content), 0, 1, 3):
        made += format.records(piece.content, line, lambda text: str(text))
        line = piece.next_line
    return made


def rewritten(format: Format, content: bytes, edit: Callable[[str], Any]) -> bytes:
    rows = [row for row in read(format, content) if row.content is not None]
    assert not any(row.reason for row in rows)
    return b"".join(
        format.written(row, [edit(slot.text) for slot in row.slots], redacted=False) for row in rows
    )


@given(st.lists(st.lists(texts, min_size=2, max_size=2), max_size=4), st.sets(st.integers(0, 30)))
def test_any_text_sealed_anywhere_comes_back_in_formats_of_bytes(
    rows: list[list[str]], cuts: set[int]
) -> None:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([["a", "b"], *rows])
    contents: list[tuple[Format, str]] = [
        (
            Jsonl((("$", None),)),
            "".join(json.dumps({"a": a, "b": b}, ensure_ascii=False) + "\n" for a, b in rows),
        ),
        (Text(), "\n".join("".join(row) for row in rows)),
    ]
    if not any("\r" in cell for row in rows for cell in row):
        contents.append((Table(("a", "b"), ((0, None), (1, None))), written.getvalue()))
    for format, content in contents:
        hidden = rewritten(format, content.encode(), lambda text: sealed_edits(text, cuts))
        assert rewritten(format, hidden, lambda text: unseal(text, KEY).values) == content.encode()
