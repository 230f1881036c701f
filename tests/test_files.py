"""Formats of batch jobs: what is looked through changes, all else stays, byte for byte or cell for cell."""

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import ConfigError
from pii.redaction import RedactionKey
from serving import redact
from serving.files.json_text import parse_path
from serving.files.lines import Jsonl
from serving.files.markup import Html
from serving.files.records import Format, Record, applied
from serving.files.tables import Table
from tests.strategies import texts

PHONE, OTHER = "13800138000", "13912345678"


def run(source: Path | str, out: Path | str, *options: str) -> int:
    return redact.main([str(source), "-o", str(out), "--detectors", "patterns", "--quiet", *options])


def cleaned(tmp_path: Path, name: str, content: str | bytes, *options: str, code: int = 0) -> bytes:
    """What becomes of one file."""
    source, out = tmp_path / name, tmp_path / "out" / name
    source.write_bytes(content.encode() if isinstance(content, str) else content)
    assert run(source, out, *options) == code
    return out.read_bytes() if out.exists() else b""


def records(format: Format, content: bytes) -> list[Record]:
    pieces = list(format.pieces(io.BytesIO(content), 0, 1, 3))
    made, line = [], 1
    for piece in pieces:
        made += format.records(piece.content, line, lambda text: str(text))
        line = piece.next_line
    return made


def bad_rows(tmp_path: Path, name: str) -> list[dict[str, Any]]:
    lines = (tmp_path / "out" / f"{name}.bad.jsonl").read_bytes().splitlines()
    return [json.loads(line) for line in lines]


# --- JSON -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "chosen"),
    [
        ("$.messages[*].content", ["A1", "A2"]),
        ("$.messages[1].content", ["A2"]),
        ("$['messages'][0]['content']", ["A1"]),
        ("$.messages", ["user", "A1", "A2", "7"]),
        ("$.*[*].role", ["user"]),
        ("id", ["1.50"]),
        ("$", ["1.50", "user", "A1", "A2", "7", "x"]),
    ],
)
def test_paths_lead_to_texts_and_numbers(path: str, chosen: list[str]) -> None:
    line = (
        '{"id":1.50,"messages":[{"role":"user","content":"A1"},{"content":"A2","n":7,"ok":true,"no":null}],'
        '"a*b":"x"}'
    )
    (row,) = records(Jsonl(((path, None),)), line.encode())
    assert [slot.text for slot in row.slots] == chosen


@pytest.mark.parametrize("path", ["$.", "$..a", "$[?(@.a)]", "$.a[1:2]", "$a"])
def test_what_is_no_place_is_refused(path: str) -> None:
    with pytest.raises(ConfigError):
        parse_path(path)


def test_conversations_keep_everything_but_the_texts(tmp_path: Path) -> None:
    line = '{"id": 1.50, "messages":[{"role":"user","content":"电话%s"},{"content":"\\u597d"}], "z":"%s"}\n'
    done = cleaned(tmp_path, "a.jsonl", line % (PHONE, PHONE), "--columns", "$.messages[*].content")
    assert done.decode() == line % ("<PHONE_NUMBER>", PHONE)


def test_a_number_that_is_personal_becomes_a_text(tmp_path: Path) -> None:
    row = f'{{"phone":{PHONE},"n":5}}\n'
    done = cleaned(tmp_path, "a.jsonl", row, "--columns", "$.phone,$.n")
    assert done == b'{"phone":"<PHONE_NUMBER>","n":5}\n'


def test_a_row_without_any_of_the_paths_is_put_aside(tmp_path: Path) -> None:
    done = cleaned(tmp_path, "a.jsonl", '{"a":"x"}\n{"b":"y"}\n', "--columns", "$.a", code=3)
    assert done == b'{"a":"x"}\n'
    assert bad_rows(tmp_path, "a.jsonl") == [{"line": 2, "reason": "no_text", "at": 10}]


def test_a_json_document_keeps_its_layout(tmp_path: Path) -> None:
    content = '{\n  "people": [\n    {"tel": "%s", "n": 1.0}\n  ]\n}\n'
    assert cleaned(tmp_path, "a.json", content % PHONE).decode() == content % "<PHONE_NUMBER>"
    assert cleaned(tmp_path, "b.json", "{", code=3) == b""
    assert bad_rows(tmp_path, "b.json") == [{"line": 1, "reason": "not_json", "at": 0}]


def test_a_name_in_one_text_is_hidden_in_the_others_of_its_row(tmp_path: Path) -> None:
    row = {"name": "王小明", "note": "王小明说他不来了"}
    done = json.loads(cleaned(tmp_path, "a.jsonl", json.dumps(row), "--columns", "name=PERSON_NAME,note"))
    assert done == {"name": "<PERSON_NAME>", "note": "<PERSON_NAME>说他不来了"}


# --- tables -----------------------------------------------------------------------------------------


def test_cells_that_are_not_written_keep_their_bytes(tmp_path: Path) -> None:
    table = f'\ufeffid,"note",n\r\n1,"请打""{PHONE}"",\r\n谢谢", 007\r\n"2",电话{PHONE},"x"\r\n3,,1e5\r\n'
    done = cleaned(tmp_path, "a.csv", table).decode()
    assert done == table.replace(PHONE, "<PHONE_NUMBER>")


@given(
    st.lists(st.lists(texts | st.sampled_from(('"', ",", "a\nb", PHONE)), min_size=2, max_size=2), max_size=6)
)
def test_a_table_comes_back_as_csv_reads_it(rows: list[list[str]]) -> None:
    import csv

    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([["a", "b"], *rows])
    format = Table(("a", "b"), ((0, None), (1, None)))
    read = records(format, written.getvalue().encode())
    same = b"".join(format.written(row, [()] * len(row.slots), redacted=True) for row in read if row.content)
    if all("\r" not in cell for row in rows for cell in row):
        assert [[slot.text for slot in row.slots] for row in read if row.slots] == rows
        assert same == written.getvalue().encode()
    new = [[[(0, len(slot.text), 'x"\n,')] for slot in row.slots] for row in read]
    changed = b"".join(
        format.written(row, edits, redacted=True) for row, edits in zip(read, new, strict=True) if row.content
    )
    for row in list(csv.reader(io.StringIO(changed.decode(), newline="")))[1:]:
        assert all(cell in ('x"\n,', "") for cell in row)


def test_one_bad_row_of_a_table_does_not_take_the_others_along(tmp_path: Path) -> None:
    table = f'a,b\n1,{PHONE}\n"never closed,2\n3,4,5\n6,5" pipe\n"7" x,8\n9,好\n'
    done = cleaned(tmp_path, "a.csv", table, code=3).decode()
    assert done == 'a,b\n1,<PHONE_NUMBER>\n6,5" pipe\n9,好\n'
    assert [(row["line"], row["reason"]) for row in bad_rows(tmp_path, "a.csv")] == [
        (3, "not_csv"),
        (4, "wrong_columns"),
        (6, "not_csv"),
    ]


def test_columns_are_chosen_by_name_and_their_names_are_read_as_labels(tmp_path: Path) -> None:
    table = f"姓名,备注,电话\n张三,{PHONE},{PHONE}\n"
    done = cleaned(tmp_path, "a.csv", table, "--columns", "姓名,电话").decode()
    assert done == f"姓名,备注,电话\n<PERSON_NAME>,{PHONE},<PHONE_NUMBER>\n"


def test_a_column_of_a_known_type_is_hidden_whole(tmp_path: Path) -> None:
    done = cleaned(tmp_path, "a.csv", "a,b\n 欧阳 ,好\n", "--columns", "a=PERSON_NAME").decode()
    assert done == "a,b\n <PERSON_NAME> ,好\n"


@pytest.mark.parametrize("encoding", ["gb18030", "latin-1"])
def test_tables_of_other_encodings_stay_in_them(tmp_path: Path, encoding: str) -> None:
    word = "电话" if encoding == "gb18030" else "tél"
    table = f"note;n\n{word} {PHONE};1\n"
    done = cleaned(tmp_path, "a.csv", table.encode(encoding), "--encoding", encoding)
    assert done.decode(encoding) == table.replace(PHONE, "<PHONE_NUMBER>")


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("a,b\n", ("--columns", "c"), "no column c"),
        ("a,b\n", ("--columns", "a=NAME"), "no entity type NAME"),
        ("a,a\n", (), "stands twice"),
        ("", (), "no header"),
        ("a\n", ("--encoding", "utf-16"), "ASCII"),
        ("a\n", ("--columns", "a", "--detect-columns"), "--detect-columns"),
    ],
)
def test_tables_that_cannot_be_read_are_one_line(
    tmp_path: Path, content: str, options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cleaned(tmp_path, "a.csv", content, *options, code=2)
    assert message in capsys.readouterr().err


def test_columns_are_found_by_sampling(tmp_path: Path) -> None:
    rows = "".join(f"{n},好,{'电话' + PHONE if n == 7 else '-'},\n" for n in range(20))
    source = tmp_path / "a.csv"
    source.write_text("id,plain,note,密码\n" + rows, encoding="utf-8")
    out = tmp_path / "out.csv"
    assert run(source, out, "--detect-columns", "10") == 0
    assert PHONE not in out.read_text(encoding="utf-8")
    (columns,) = json.loads(json.loads(Path(f"{out}.manifest.jsonl").read_bytes().splitlines()[0])["columns"])
    assert columns == ["note=?", "密码=?"]


def test_columns_of_nested_json_are_found_by_sampling(tmp_path: Path) -> None:
    row = {"id": 1, "m": [{"x": "好", "y": f"电话{PHONE}"}], "text": "好"}
    done = cleaned(tmp_path, "a.jsonl", json.dumps(row) + "\n", "--detect-columns")
    assert json.loads(done)["m"] == [{"x": "好", "y": "电话<PHONE_NUMBER>"}]
    manifest = (tmp_path / "out" / "a.jsonl.manifest.jsonl").read_bytes().splitlines()[0]
    assert json.loads(json.loads(manifest)["columns"]) == [["$['m'][*]['y']=?"]]


def test_a_sample_without_any_find_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cleaned(tmp_path, "a.csv", "a,b\n1,好\n", "--detect-columns", code=2)
    assert "nothing found" in capsys.readouterr().err


# --- Parquet ----------------------------------------------------------------------------------------


def parquet(path: Path, row_group_size: int = 3) -> Any:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "id": pa.array(range(8), pa.int16()),
            "note": pa.array([f"电话{PHONE}", None, "好", *[f"{n} {OTHER}" for n in range(5)]]),
            "tags": pa.array([[PHONE, None], [], None, ["x"], *[["y"]] * 4], pa.list_(pa.large_string())),
            "kind": pa.array(["a", "b"] * 4).dictionary_encode(),
            "when": pa.array(range(8), pa.timestamp("us", tz="Asia/Shanghai")),
        }
    ).replace_schema_metadata({"made by": "us"})
    pq.write_table(table, path, row_group_size=row_group_size, compression="zstd")
    return table


def test_a_parquet_file_keeps_schema_types_codec_and_other_columns(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    parquet(tmp_path / "a.parquet")
    before = pq.read_table(tmp_path / "a.parquet")
    assert run(tmp_path / "a.parquet", tmp_path / "out.parquet", "--set", "shard_rows=2") == 0
    after = pq.read_table(tmp_path / "out.parquet")
    assert after.schema.equals(before.schema, check_metadata=True)
    for name in ("id", "kind", "when"):
        assert after.column(name).to_pylist() == before.column(name).to_pylist()
    assert after.column("note").to_pylist() == [
        "电话<PHONE_NUMBER>",
        None,
        "好",
        *[f"{n} <PHONE_NUMBER>" for n in range(5)],
    ]
    assert after.column("tags").to_pylist()[:4] == [["<PHONE_NUMBER>", None], [], None, ["x"]]
    assert pq.read_metadata(tmp_path / "out.parquet").row_group(0).column(0).compression == "ZSTD"


def test_an_empty_parquet_file_stays_one(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    table = parquet(tmp_path / "full.parquet")
    pq.write_table(table.slice(0, 0), tmp_path / "a.parquet")
    assert run(tmp_path / "a.parquet", tmp_path / "out.parquet") == 0
    after = pq.read_table(tmp_path / "out.parquet")
    assert after.num_rows == 0
    assert after.schema.equals(table.schema)


def test_a_parquet_column_without_texts_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parquet(tmp_path / "a.parquet")
    assert run(tmp_path / "a.parquet", tmp_path / "out.parquet", "--columns", "id") == 2
    assert "holds no texts" in capsys.readouterr().err
    (tmp_path / "b.parquet").write_text("no")
    assert run(tmp_path / "b.parquet", tmp_path / "out.parquet") == 2
    assert "not a Parquet file" in capsys.readouterr().err


# --- text and markup --------------------------------------------------------------------------------


def test_markdown_keeps_its_marks(tmp_path: Path) -> None:
    content = "# 联系人\n\n- **%s** [写信](mailto:%s)\n\n```\ncall %s\n```\n"
    done = cleaned(tmp_path, "a.md", content % (PHONE, "a.b@contoso.com", PHONE)).decode()
    assert done == content % ("<PHONE_NUMBER>", "<EMAIL_ADDRESS>", "<PHONE_NUMBER>")


PAGE = (
    "<!DOCTYPE html>\n<html><head><title>%s</title><script>var p = '%s';</script></head>\n"
    "<!-- call %s --><body class=x><p>打&nbsp;%s<br/>a &lt; b</p>\n"
    '<a href="mailto:%s" title="%s">x</a></body></html>\n'
)


def test_html_keeps_its_tags_and_hides_what_no_reader_sees(tmp_path: Path) -> None:
    before = PAGE % (PHONE, PHONE, PHONE, PHONE, "a.b@contoso.com", PHONE)
    tag, mail = "&lt;PHONE_NUMBER&gt;", "&lt;EMAIL_ADDRESS&gt;"
    assert cleaned(tmp_path, "a.html", before).decode() == PAGE % (tag, tag, tag, tag, mail, tag)


def test_values_cut_by_tags_and_written_in_references_are_found(tmp_path: Path) -> None:
    done = cleaned(tmp_path, "a.html", "<p>电话<b>138</b><i>0013</i>8000 &#49;3912345678</p>").decode()
    assert done == "<p>电话<b>&lt;PHONE_NUMBER&gt;</b><i></i> &lt;PHONE_NUMBER&gt;</p>"


def test_a_label_in_the_cell_before_counts(tmp_path: Path) -> None:
    done = cleaned(tmp_path, "a.html", "<table><tr><td>姓名</td><td>张三</td></tr></table>").decode()
    assert done == "<table><tr><td>姓名</td><td>&lt;PERSON_NAME&gt;</td></tr></table>"


markup = st.lists(
    texts
    | st.sampled_from(
        ("<p>", "</p>", "<b", ">", "<!--", "-->", "&amp;", "&#x4e2d;", '"', "<script>", "</", "\n")
    ),
    max_size=12,
).map("".join)


@given(markup)
def test_any_markup_without_edits_stays_as_it_is(content: str) -> None:
    try:
        encoded = content.encode()
    except UnicodeEncodeError:
        return
    for row in Html().records(encoded, 1, lambda text: str(text)):
        assert Html().written(row, [()] * len(row.slots), redacted=True) == encoded


@given(st.sampled_from(("p", "b", "td")), texts)
def test_any_visible_text_is_looked_through(tag: str, text: str) -> None:
    plain = "".join(char for char in text if char not in "<&>\r\n\0" and char.isprintable()).strip()
    if not plain:
        return
    try:
        content = f"<{tag}>{plain}</{tag}>".encode()
    except UnicodeEncodeError:
        return
    (row,) = Html().records(content, 1, lambda text: str(text))
    assert any(plain in slot.text for slot in row.slots)


@given(st.text(max_size=20), st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=4))
def test_edits_change_what_they_name_alone(text: str, ranges: list[tuple[int, int]]) -> None:
    edits, end = [], 0
    for first, length in sorted(ranges):
        start = max(end, min(first, len(text)))
        end = min(start + length, len(text))
        edits.append((start, end, "_"))
    kept = [c for i, c in enumerate(text) if not any(a <= i < b for a, b, _ in edits)]
    assert len(applied(text, edits)) == len(kept) + len(edits)
    assert list(applied(text, [(a, b, "") for a, b, _ in edits])) == kept


# --- Word and Excel ---------------------------------------------------------------------------------

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
S = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
CORE = (
    '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties"'
    ' xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:creator>张三</dc:creator></cp:coreProperties>'
)


def archive(path: Path, parts: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        for name, content in parts.items():
            made.writestr(name, content)
    return path


def parts_of(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as made:
        return {name: made.read(name).decode() for name in made.namelist()}


def test_word_files_keep_runs_and_lose_what_is_hidden(tmp_path: Path) -> None:
    pytest.importorskip("lxml")
    body = (
        f"<w:document {W}><w:body><w:p><w:r><w:rPr><w:b/></w:rPr><w:t>电话138</w:t></w:r>"
        "<w:r><w:t>00138000，好</w:t></w:r></w:p>"
        f"<w:p><w:del w:author='李四'><w:r><w:delText>{OTHER}</w:delText></w:r></w:del></w:p>"
        f"<w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>{OTHER}</w:t></w:r></w:p></w:body></w:document>"
    )
    rels = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        '<Relationship Id="r1" Type="hyperlink" TargetMode="External" Target="mailto:a.b@contoso.com"/>'
        "</Relationships>"
    )
    comments = (
        f"<w:comments {W}><w:comment w:author='李四' w:initials='李'><w:p><w:r><w:t>{PHONE}</w:t></w:r></w:p>"
        "</w:comment></w:comments>"
    )
    source = archive(
        tmp_path / "a.docx",
        {
            "[Content_Types].xml": "<Types/>",
            "word/document.xml": body,
            "word/_rels/document.xml.rels": rels,
            "word/comments.xml": comments,
            "docProps/core.xml": CORE,
        },
    )
    out = tmp_path / "out.docx"
    assert run(source, out) == 0
    parts = parts_of(out)
    everything = "".join(parts.values())
    for secret in (PHONE, OTHER, "138", "张三", "李四", "contoso"):
        assert secret not in everything
    assert "<w:b/>" in parts["word/document.xml"]
    assert ">电话&lt;PHONE_NUMBER&gt;</w:t>" in parts["word/document.xml"]
    assert ">，好</w:t>" in parts["word/document.xml"]
    assert parts["[Content_Types].xml"] == "<Types/>"


def test_excel_files_are_read_in_every_kind_of_cell(tmp_path: Path) -> None:
    pytest.importorskip("lxml")
    sheet = (
        f'<worksheet {S}><sheetData><row><c r="A1" t="s"><v>0</v></c><c r="B1" s="3"><v>{PHONE}</v></c>'
        f'<c r="C1"><v>42</v></c><c r="D1" t="str"><f>"电话"&amp;B1</f><v>电话{PHONE}</v></c>'
        f'<c r="E1" t="inlineStr"><is><t>{OTHER}</t></is></c></row></sheetData>'
        f"<headerFooter><oddHeader>&amp;C电话{PHONE}</oddHeader></headerFooter></worksheet>"
    )
    shared = f"<sst {S}><si><r><t>手机 139</t></r><r><t>12345678</t></r></si></sst>"
    source = archive(
        tmp_path / "a.xlsx",
        {"xl/worksheets/sheet1.xml": sheet, "xl/sharedStrings.xml": shared, "docProps/core.xml": CORE},
    )
    out = tmp_path / "out.xlsx"
    assert run(source, out) == 0
    parts = parts_of(out)
    everything = "".join(parts.values())
    for secret in (PHONE, OTHER, "12345678", "张三"):
        assert secret not in everything
    assert "<v>42</v>" in parts["xl/worksheets/sheet1.xml"]
    assert 's="3"' in parts["xl/worksheets/sheet1.xml"]


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"word/vbaProject.bin": "x"}, "not_supported"),
        ({"word/embeddings/oleObject1.bin": "x"}, "not_supported"),
        ({"word/document.xml": '<!DOCTYPE a [<!ENTITY x "y">]><a/>'}, "not_supported"),
        ({"word/document.xml": "<a"}, "not_office"),
        (None, "not_office"),
    ],
)
def test_office_files_with_parts_that_nobody_reads_are_refused(
    tmp_path: Path, parts: dict[str, str] | None, reason: str
) -> None:
    pytest.importorskip("lxml")
    source = tmp_path / "a.docx"
    if parts is None:
        source.write_bytes(b"PK no")
    else:
        archive(source, parts)
    assert run(source, tmp_path / "out.docx") == 3
    assert not (tmp_path / "out.docx").exists()
    assert json.loads((tmp_path / "out.docx.bad.jsonl").read_bytes())["reason"] == reason


@pytest.mark.parametrize("ending", ["doc", "xls"])
def test_older_office_files_are_refused_by_name(
    tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / f"a.{ending}").write_bytes(b"x")
    assert run(tmp_path / f"a.{ending}", tmp_path / "out") == 2
    assert f"save it as .{ending}x first" in capsys.readouterr().err


# --- compression, folders, addresses ----------------------------------------------------------------


@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_compressed_files_stay_compressed(tmp_path: Path, ending: str) -> None:
    lines = "".join(json.dumps({"n": n, "text": f"电话{PHONE}"}) + "\n" for n in range(20))
    if ending == "gz":
        packed, unpack = gzip.compress(lines.encode()), gzip.decompress
    else:
        zstandard = pytest.importorskip("zstandard")
        packed = zstandard.ZstdCompressor().compress(lines.encode())

        def unpack(content: bytes) -> bytes:
            reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(content), read_across_frames=True)
            return bytes(reader.read())

    done = cleaned(tmp_path, f"a.jsonl.{ending}", packed, "--set", "shard_rows=6")
    assert [json.loads(line) for line in unpack(done).splitlines()] == [
        {"n": n, "text": "电话<PHONE_NUMBER>"} for n in range(20)
    ]


@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_a_damaged_archive_is_one_line(
    tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = b"".join(b'{"text":"%d"}\n' % n for n in range(5000))
    if ending == "zst":
        content = pytest.importorskip("zstandard").ZstdCompressor().compress(content)
    else:
        content = gzip.compress(content)
    cleaned(tmp_path, f"a.jsonl.{ending}", content[: len(content) // 2], code=2)
    assert "damaged" in capsys.readouterr().err
    assert not (tmp_path / "out" / f"a.jsonl.{ending}").exists()


def folder(tmp_path: Path) -> Path:
    top = tmp_path / "in"
    (top / "b").mkdir(parents=True)
    (top / "a.txt").write_text(f"电话{PHONE}", encoding="utf-8")
    (top / "b" / "c.jsonl").write_text(json.dumps({"text": PHONE}) + "\nbad\n")
    (top / "b" / "d.csv").write_text(f"x\n{PHONE}\n")
    (top / "e.bin").write_bytes(b"\0\1")
    (top / ".hidden").write_text(PHONE)
    return top


def test_a_folder_goes_to_a_folder_of_the_same_names(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(folder(tmp_path), out) == 3
    names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert names == ["a.txt", "b/c.jsonl", "b/d.csv"]
    assert all(PHONE not in (out / name).read_text(encoding="utf-8") for name in names)
    bad = [json.loads(line) for line in Path(f"{out}.bad.jsonl").read_bytes().splitlines()]
    assert [(row["file"], row["line"], row["reason"]) for row in bad] == [
        ("b/c.jsonl", 2, "not_json"),
        ("e.bin", 1, "unknown_format"),
    ]
    assert json.loads(Path(f"{out}.certificate.json").read_bytes())["rows"] == 3
    assert not Path(f"{out}.job").exists()


def test_a_pattern_names_files(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(f"{folder(tmp_path)}/**/*.csv", out) == 0
    assert [path.name for path in out.rglob("*.*")] == ["d.csv"]


@pytest.mark.parametrize(
    ("words", "out", "message"),
    [
        (["{in}/a.txt", "{in}/a.txt"], "{tmp}/out", "the same file twice"),
        (["{in}/a.txt", "{in}/b/a.txt"], "{tmp}/out", "the same file twice"),
        (["{in}/a.txt", "{in}/f/a.txt"], "{tmp}/out", "would have the name"),
        (["{in}"], "{in}/out", "lies in it"),
        (["{in}"], "{in}", "lies in it"),
        (["{in}/b"], "{in}", "lies in it"),
        (["{in}/a.txt"], "{in}/a.txt", "is the input"),
        (["{in}/a.txt", "-"], "{tmp}/out", "standard input"),
        (["{in}"], "-", "name it with -o"),
        (["{in}/*.nothing"], "{tmp}/out", "no files"),
        (["{in}"], "{in}/a.txt", "lies in it"),
        (["{in}"], "{tmp}/file", "is a file"),
    ],
)
def test_jobs_that_would_mix_input_and_output_are_refused(
    tmp_path: Path, words: list[str], out: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    top = folder(tmp_path)
    if "/b/a.txt" in words[-1]:
        (top / "b" / "a.txt").hardlink_to(top / "a.txt")
    (top / "f").mkdir()
    (top / "f" / "a.txt").write_text("other")
    (tmp_path / "file").write_text("")
    before = {path: path.read_bytes() for path in top.rglob("*") if path.is_file()}
    places = {"in": top, "tmp": tmp_path}
    arguments = [word.format(**places) for word in words]
    assert redact.main([*arguments, "-o", out.format(**places), "--detectors", "patterns"]) == 2
    assert message in capsys.readouterr().err
    assert {path: path.read_bytes() for path in top.rglob("*") if path.is_file()} == before


def test_any_address_that_fsspec_opens_is_read_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.chdir(tmp_path)
    memory = fsspec.filesystem("memory")
    memory.pipe("/in/a.jsonl", b'{"text":"%s"}\n' % PHONE.encode())
    memory.pipe("/in/b/c.txt", PHONE.encode())
    assert run("memory://in/a.jsonl", "memory://out/a.jsonl") == 0
    assert memory.cat("/out/a.jsonl") == b'{"text":"<PHONE_NUMBER>"}\n'
    assert run("memory://in", "memory://all") == 0
    assert memory.cat("/all/b/c.txt") == b"<PHONE_NUMBER>"
    assert run("memory://in/a.jsonl", tmp_path / "local.jsonl") == 0
    assert (tmp_path / "local.jsonl").read_bytes() == b'{"text":"<PHONE_NUMBER>"}\n'
    assert not list(tmp_path.glob("*.job"))


def test_equal_values_have_one_surrogate_in_all_files_and_formats(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("5a" * 32)
    (tmp_path / "fake.yaml").write_text("default: {operator: surrogate}\n")
    top = folder(tmp_path)
    (top / "e.bin").unlink()
    out = tmp_path / "out"
    options = ("--policy", str(tmp_path / "fake.yaml"), "--key-file", str(tmp_path / "key"))
    assert run(top, out, *options) == 3
    found = [(out / "a.txt").read_text(encoding="utf-8")[2:]]
    found.append(json.loads((out / "b" / "c.jsonl").read_text())["text"])
    found.append((out / "b" / "d.csv").read_text().split()[1])
    assert len(set(found)) == 1
    assert found[0] != PHONE
    assert RedactionKey.from_file(tmp_path / "key").id in Path(f"{out}.certificate.json").read_text()
