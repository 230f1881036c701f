"""Batch commands: what comes out are the rows that went in, whatever stands in them or kills the job."""

import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pii.errors import RequestError
from serving import extract, redact
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from serving.files.json_text import edited
from serving.files.lines import Jsonl, Text
from serving.files.records import Format, Record
from serving.sinks import JOURNAL
from tests.strategies import texts

SEED = "我叫张三，电话13800138000"
FOUND = [
    {"type": "PERSON_NAME", "value": "张三", "start": 2, "end": 4},
    {"type": "PHONE_NUMBER", "value": "13800138000", "start": 7, "end": 18},
]
PATTERNS = ("--detectors", "patterns")


def lines_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line]


def places_of(path: Path) -> list[dict[str, Any]]:
    """Bad rows by line and reason; where they belong in the result is tested by doing them again."""
    return [{key: value for key, value in line.items() if key != "at"} for line in lines_of(path)]


def write(path: Path, *lines: str | bytes) -> Path:
    path.write_bytes(b"".join((x.encode() if isinstance(x, str) else x) + b"\n" for x in lines))
    return path


# --- rows -------------------------------------------------------------------------------------------


def read(format: Format, content: bytes) -> list[Record]:
    """The records of a file that is one piece."""
    pieces = list(format.pieces(io.BytesIO(content), 0, 1, 1_000_000))
    assert sum(len(piece.content) for piece in pieces) == len(content)
    return [row for piece in pieces for row in format.records(piece.content, 1, accept)]


def splice(row: Record, values: dict[str, Any]) -> str:
    return edited(row.content, row.layout, [()] * len(row.slots), values)


def text_of(row: Record) -> str:
    (slot,) = row.slots
    return slot.text


def accept(text: object) -> str:
    if not isinstance(text, str):
        raise RequestError("text_not_string", "text", "")
    return text


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(texts, values, max_size=4), texts, texts, st.booleans(), st.sampled_from((None, 1)))
def test_splicing_changes_the_named_members_alone(
    others: dict[str, Any], text: str, new: str, ascii_only: bool, indent: int | None
) -> None:
    before = {**others, "text": text}
    line = json.dumps(before, ensure_ascii=ascii_only, indent=indent).replace("\n", " ")
    (row,) = read(Jsonl(), line.encode() + b"\n")
    after = json.loads(splice(row, {"text": new, "entities": [1]}))
    assert after == {**before, "text": new, "entities": [1]}
    assert list(after) == list(before) if "entities" in before else [*before, "entities"]


def test_what_is_not_spliced_keeps_its_bytes() -> None:
    line = '{ "a" :1.50,"b":1e5, "c":12345678901234567890123.10, "text":"x" ,"d":"\\u4e2d\\ud800", "e":[ 1 ]}'
    (row,) = read(Jsonl(), line.encode())
    assert splice(row, {"text": "y"}) == line.replace('"x"', '"y"')
    assert splice(row, {"k": []}) == line[:-1] + ', "k": []}'


def test_lines_end_at_a_line_feed_alone() -> None:
    content = '{"text":"a\u2028b\u2029c\x85d"}'
    rows = read(Jsonl(), f"{content}\r\n{content}\n".encode())
    assert [(row.line, row.content, text_of(row)) for row in rows] == [
        (1, f"{content}\r\n", "a\u2028b\u2029c\x85d"),
        (2, f"{content}\n", "a\u2028b\u2029c\x85d"),
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_row() -> None:
    (row,) = read(Jsonl(), b'\xef\xbb\xbf{"text":"x"}')
    assert text_of(row) == "x"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not_json"),
        (b'{"text":"a"} x', "not_json"),
        (b'{"text":NaN}', "not_json"),
        (b"[" * 100_000, "not_json"),
        (b"[]", "not_object"),
        (b"{}", "no_text"),
        (b'{"text":1}', "text_not_string"),
        (b'{"text":"a","text":"b"}', "repeated_key"),
        (b'{"text":"\xff"}', "not_utf8"),
        (b"", ""),
        (b"  \t", ""),
        (b'{"text":"a","n":' + b"1" * 10_000 + b"}", None),
    ],
)
def test_bad_lines_have_a_reason_and_nothing_else(line: bytes, reason: str | None) -> None:
    (row,) = read(Jsonl(), line + b"\n")
    if reason is None:
        assert text_of(row) == "a"
    else:
        assert (row.slots, row.reason, row.content) == ((), reason, None)


@given(st.lists(texts | st.just("x" * 3000) | st.just(""), max_size=12), st.booleans())
def test_blocks_of_plain_text_make_up_the_file(lines: list[str], ended: bool) -> None:
    content = "\n".join(lines) + ("\n" if ended else "")
    rows = read(Text(), content.encode())
    assert "".join(row.content for row in rows) == content
    assert [row.line for row in rows[1:]] == [row.next_line for row in rows[:-1]]
    for row in rows:
        assert row.next_line - row.line == row.content.count("\n") + (not row.content.endswith("\n"))


def test_a_line_of_plain_text_that_is_no_text_is_a_row_of_its_own() -> None:
    rows = read(Text(), b"a\nb\n\xff\nc")
    assert [(row.line, row.content, row.reason) for row in rows] == [
        (1, "a\nb\n", ""),
        (3, None, "not_utf8"),
        (4, "c", ""),
    ]


# --- commands ---------------------------------------------------------------------------------------


def test_extract_keeps_lines_order_and_keys(tmp_path: Path) -> None:
    source = write(
        tmp_path / "in.jsonl",
        json.dumps({"id": 1, "text": SEED, "n": 1.5}, ensure_ascii=False),
        '{"text":"", "u":"a\u2028b"}',
        '{"entities":"old","text":"no one"}',
    )
    assert extract.main([str(source), "-o", str(tmp_path / "out.jsonl"), *PATTERNS]) == 0
    assert lines_of(tmp_path / "out.jsonl") == [
        {"id": 1, "text": SEED, "n": 1.5, "entities": FOUND},
        {"text": "", "u": "a\u2028b", "entities": []},
        {"entities": [], "text": "no one"},
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "in.jsonl",
        "out.jsonl",
        "out.jsonl.manifest.jsonl",
    ]


def test_types_narrow_what_is_found(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", json.dumps({"text": SEED}))
    out = tmp_path / "out.jsonl"
    assert (
        extract.main([str(source), "-o", str(out), "--types", "PHONE_NUMBER, EMAIL_ADDRESS", *PATTERNS]) == 0
    )
    assert lines_of(out)[0]["entities"] == FOUND[1:]


def test_bad_rows_are_put_aside_with_their_lines_and_without_their_text(tmp_path: Path) -> None:
    good = json.dumps({"text": SEED})
    source = write(tmp_path / "in.jsonl", good, SEED, "", '{"text": 13800138000}', b'{"text":"\xff"}', good)
    out = tmp_path / "out.jsonl"
    assert extract.main([str(source), "-o", str(out), *PATTERNS]) == 3
    assert len(lines_of(out)) == 2
    bad = tmp_path / "out.jsonl.bad.jsonl"
    assert places_of(bad) == [
        {"line": 2, "reason": "not_json"},
        {"line": 4, "reason": "text_not_string"},
        {"line": 5, "reason": "not_utf8"},
    ]
    # A later job without bad rows does not leave the old list behind.
    write(source, good)
    assert extract.main([str(source), "-o", str(out), *PATTERNS]) == 0
    assert not bad.exists()


def test_redact_jsonl_changes_the_text_and_hides_old_entities(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", json.dumps({"a": 1.50, "text": SEED, "entities": FOUND}))
    out = tmp_path / "out.jsonl"
    assert redact.main([str(source), "-o", str(out), *PATTERNS]) == 0
    assert lines_of(out) == [{"a": 1.5, "text": "我叫<PERSON_NAME>，电话<PHONE_NUMBER>", "entities": []}]


def test_redact_plain_text_changes_nothing_else(tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_bytes(f"\ufeff第一行\r\n\r\n{SEED}\u2028完\n没有换行".encode())
    out = tmp_path / "out.txt"
    assert redact.main([str(source), "-o", str(out), *PATTERNS]) == 0
    assert out.read_bytes() == source.read_bytes().replace("张三".encode(), b"<PERSON_NAME>").replace(
        b"13800138000", b"<PHONE_NUMBER>"
    )


def test_the_policy_is_the_recipes(tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text(SEED, encoding="utf-8")
    out = tmp_path / "out.txt"
    mask = "redaction.default={operator: mask, keep_first: 3, keep_last: 2}"
    assert redact.main([str(source), "-o", str(out), *PATTERNS, "--set", mask]) == 0
    assert out.read_text(encoding="utf-8") == "我叫**，电话138******00"


def test_standard_input_and_output() -> None:
    command = [sys.executable, "-m", "pii", "redact", "-", *PATTERNS]
    done = subprocess.run(command, input=SEED.encode(), capture_output=True, check=False)
    assert (done.returncode, done.stdout.decode()) == (0, "我叫<PERSON_NAME>，电话<PHONE_NUMBER>")


def test_standard_input_into_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(json.dumps({"text": SEED}).encode() + b"\nx\n"))
    monkeypatch.setattr(sys, "stdin", stream)
    assert extract.main(["-", "-o", str(tmp_path / "out.jsonl"), *PATTERNS]) == 3
    assert lines_of(tmp_path / "out.jsonl") == [{"text": SEED, "entities": FOUND}]
    assert places_of(tmp_path / "out.jsonl.bad.jsonl") == [{"line": 2, "reason": "not_json"}]


def test_standard_input_without_bad_rows_leaves_no_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"text":""}')))
    assert extract.main(["-", "-o", str(tmp_path / "out.jsonl"), *PATTERNS]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_an_empty_file_gives_an_empty_file(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl")
    assert extract.main([str(source), "-o", str(tmp_path / "out.jsonl"), *PATTERNS]) == 0
    assert (tmp_path / "out.jsonl").read_bytes() == b""


def test_the_model_marks_the_same_rows(tmp_path: Path, untrained_model: Path) -> None:
    source = write(tmp_path / "in.jsonl", *(json.dumps({"text": f"{n} {SEED}"}) for n in range(4)))
    out = tmp_path / "out.jsonl"
    options = ["--set", "extractor.engine=transformers", "extractor.max_new_tokens=32"]
    command = [
        str(source),
        "-o",
        str(out),
        "--model",
        str(untrained_model),
        *options[:2],
        "--set",
        options[2],
    ]
    assert extract.main(command) == 0
    config = ExtractorConfig(model=untrained_model, engine="transformers", max_new_tokens=32)
    with Extractor.open(config) as extractor:
        for row, found in zip(
            lines_of(out), extractor.extract_all(f"{n} {SEED}" for n in range(4)), strict=True
        ):
            assert row["entities"] == [span.as_entity(row["text"]) for span in found.spans]
            assert ("truncated" in row) == bool(found.truncated)


# --- what a person has to mend ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{in}", "-o", "{in}"], "is the input"),
        (["{in}", "-o", "{dir}/linked.jsonl"], "is the input"),
        (["{dir}/none.jsonl", "-o", "{dir}/out"], "no such file"),
        (["{in}", "-o", "{dir}"], "is a folder"),
        (["{in}", "-o", "/proc/none/out.jsonl"], "/proc"),
        (["{in}", "-o", "{dir}/out", "--types", "NAME"], "--types: types[0]"),
        (
            ["{in}", "-o", "{dir}/out", "--detectors", "merged", "--model", "{dir}/none"],
            "no such model folder",
        ),
        (["{in}", "-o", "{dir}/out", "--set", "extractor.modell=x"], "unknown key"),
    ],
)
def test_one_line_and_exit_code_2(
    tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "in.jsonl", json.dumps({"text": SEED}))
    (tmp_path / "linked.jsonl").hardlink_to(source)
    filled = [part.format(**{"in": source, "dir": tmp_path}) for part in arguments]
    detectors = [] if "--detectors" in filled else PATTERNS
    assert extract.main([*filled, *detectors]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert json.loads(source.read_bytes()) == {"text": SEED}
    assert not (tmp_path / "out").exists()


# --- jobs that are killed ---------------------------------------------------------------------------

ROWS = 400
SLOW = (*PATTERNS, "--set", "shard_rows=7")


def many_rows(path: Path) -> Path:
    """Rows long enough for a job that can be hit while it runs; every ninth is bad."""
    filler = "今天天气很好，我们去公园散步。" * 60
    return write(
        path,
        *(
            "not json"
            if n % 9 == 0
            else json.dumps({"n": n, "text": f"{filler}{SEED}{n}"}, ensure_ascii=False)
            for n in range(ROWS)
        ),
    )


def begin(source: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pii", "extract", str(source), "-o", str(out), *SLOW]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def num_shards(out: Path) -> int:
    """Finished shards of a job; the journal's first line says whose they are."""
    journal = out.with_name(f"{out.name}.job") / JOURNAL
    try:
        return max(0, journal.read_bytes().count(b"\n") - 1)
    except FileNotFoundError:
        return 0


def test_a_refused_job_is_not_in_the_way_of_the_next(tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"text": "电话13800138000"}\n', encoding="utf-8")
    words = [str(source), "-o", str(out), "--detectors", "patterns"]
    assert extract.main([*words, "--types", "NO_SUCH_TYPE"]) == 2
    assert list(tmp_path.iterdir()) == [source]
    assert extract.main(words) == 0


def stop_after(job: subprocess.Popen[bytes], out: Path, more: int, how: signal.Signals) -> int:
    """Send a signal once so many more shards are finished; returns the exit code."""
    before = num_shards(out)
    while job.poll() is None and num_shards(out) < before + more:
        time.sleep(0.002)
    job.send_signal(how)
    return job.wait()


def uninterrupted(source: Path, folder: Path) -> tuple[bytes, bytes]:
    assert extract.main([str(source), "-o", str(folder / "whole.jsonl"), *SLOW]) == 3
    return (folder / "whole.jsonl").read_bytes(), (folder / "whole.jsonl.bad.jsonl").read_bytes()


def finish(source: Path, out: Path) -> tuple[bytes, bytes]:
    assert extract.main([str(source), "-o", str(out), *SLOW]) == 3
    assert not out.with_name(f"{out.name}.job").exists()
    return out.read_bytes(), out.with_name(f"{out.name}.bad.jsonl").read_bytes()


def test_a_killed_job_goes_on_to_the_same_result(tmp_path: Path) -> None:
    source, out = many_rows(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    whole = uninterrupted(source, tmp_path)
    assert stop_after(begin(source, out), out, 3, signal.SIGKILL) == -signal.SIGKILL
    assert not out.exists()
    finished = num_shards(out)
    # A torn entry, as a power cut leaves it, and a shard that was never entered.
    with (tmp_path / "out.jsonl.job" / JOURNAL).open("ab") as journal:
        journal.write(b'{"end": 12')
    (tmp_path / "out.jsonl.job" / "000050.out").write_bytes(b"stray")
    assert 3 <= finished < ROWS // 7
    assert finish(source, out) == whole


def test_a_terminated_job_says_how_to_go_on(tmp_path: Path) -> None:
    source, out = many_rows(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    whole = uninterrupted(source, tmp_path)
    assert stop_after(begin(source, out), out, 3, signal.SIGTERM) == 130
    assert not out.exists()
    assert finish(source, out) == whole


def test_finished_shards_are_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = many_rows(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    stop_after(begin(source, out), out, 3, signal.SIGKILL)
    lines: list[int] = []

    annotate = extract.Annotator.write

    def noted(self: Any, format: Format, record: Record, *others: Any) -> bytes:
        lines.append(record.line)
        return annotate(self, format, record, *others)

    entry = json.loads((tmp_path / "out.jsonl.job" / JOURNAL).read_bytes().splitlines()[-1])
    monkeypatch.setattr(extract.Annotator, "write", noted)
    finish(source, out)
    assert entry["next_line"] > 1
    assert lines[0] in (entry["next_line"], entry["next_line"] + 1)


@pytest.mark.parametrize("changed", ["input", "types", "recipe"])
def test_an_unfinished_job_with_other_parts_is_refused_by_name(
    tmp_path: Path, changed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = many_rows(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    stop_after(begin(source, out), out, 3, signal.SIGKILL)
    command = [str(source), "-o", str(out), *SLOW]
    if changed == "input":
        with source.open("ab") as file:
            file.write(b"{}\n")
    elif changed == "types":
        command += ["--types", "PHONE_NUMBER"]
    else:
        command += ["--set", "extractor.max_text_chars=5000"]
    before = num_shards(out)
    assert extract.main(command) == 2
    assert f"another {changed}" in capsys.readouterr().err
    assert num_shards(out) == before >= 3


def test_two_processes_do_not_share_a_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = many_rows(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    job = begin(source, out)
    while job.poll() is None and num_shards(out) < 1:
        time.sleep(0.002)
    job.send_signal(signal.SIGSTOP)
    try:
        assert extract.main([str(source), "-o", str(out), *SLOW]) == 2
        assert "another process" in capsys.readouterr().err
    finally:
        job.kill()
        job.wait()


def test_a_folder_of_something_else_is_not_touched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = write(tmp_path / "in.jsonl", '{"text":""}'), tmp_path / "out.jsonl"
    other = tmp_path / "out.jsonl.job"
    other.mkdir()
    (other / "letter.txt").write_text("dear")
    assert extract.main([str(source), "-o", str(out), *PATTERNS]) == 2
    assert "not a job's folder" in capsys.readouterr().err
    assert (other / "letter.txt").read_text() == "dear"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_line() -> None:
    command = [sys.executable, "-m", "pii", "redact", "-", *PATTERNS]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, input=SEED.encode(), stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 2
    assert b"No space left" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.slow
def test_twenty_kills_lose_and_repeat_nothing(tmp_path: Path) -> None:
    source, out = many_rows(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    whole = uninterrupted(source, tmp_path)
    killed = 0
    for turn in range(20):
        job = begin(source, out)
        if stop_after(job, out, 1 + turn % 5, signal.SIGKILL) == -signal.SIGKILL:
            killed += 1
        if out.exists():
            break
    assert killed >= 5
    assert finish(source, out) == whole
    rows = lines_of(out)
    assert [row["n"] for row in rows] == [n for n in range(ROWS) if n % 9]
