"""Batch jobs as operators run them: bad rows done again, limits, signals, full disks, progress, summaries."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Any

import pytest

from configs import atomic
from pii.redaction import RedactionKey, verify_certificate
from serving import redact, sinks
from serving.sinks import JOURNAL

PHONE = "13800138000"
PATTERNS = ("--detectors", "patterns")
# Redaction of this row has a leak that tags mend, so that it is refused by one policy and not by the other.
LEAKING = "电话13800138000，又写作1(380)0138(000)"


def run(source: Path | str, out: Path | str, *options: str) -> int:
    return redact.main([str(source), "-o", str(out), *PATTERNS, "--quiet", *options])


def lines_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line]


def write(path: Path, *rows: str) -> Path:
    path.write_text("".join(row + "\n" for row in rows), encoding="utf-8")
    return path


def row(text: str) -> str:
    return json.dumps({"text": text}, ensure_ascii=False)


def beside(out: Path, ending: str) -> Path:
    return Path(f"{out}.{ending}")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


# --- bad rows ---------------------------------------------------------------------------------------


@pytest.fixture
def strict(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "strict.yaml").write_text("on_leak: fail\n")
    return "--policy", str(tmp_path / "strict.yaml")


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "csv", "parquet"])
def test_rows_that_go_well_the_second_time_get_their_place(
    tmp_path: Path, ending: str, strict: tuple[str, str]
) -> None:
    texts = ["好", LEAKING, f"电话{PHONE}", LEAKING, "再见", LEAKING]
    source, out, whole = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}", tmp_path / f"whole.{ending}"
    if ending == "parquet":
        pa = pytest.importorskip("pyarrow")
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"text": texts}), source)
    elif ending == "csv":
        write(source, "text,n", *(f"{text},{n}" for n, text in enumerate(texts)))
    elif ending == "jsonl.gz":
        import gzip

        source.write_bytes(gzip.compress("".join(row(text) + "\n" for text in texts).encode()))
    else:
        write(source, *map(row, texts))
    options = ("--set", "shard_rows=2")
    assert run(source, whole, *options) == 0
    assert run(source, out, *options, *strict) == 3
    assert len(lines_of(beside(out, "bad.jsonl"))) == 3
    assert run(source, out, *options, "--retry-dead") == 0
    if ending == "parquet":
        assert pq.read_table(out).equals(pq.read_table(whole))
    elif ending == "jsonl.gz":
        assert gzip.decompress(out.read_bytes()) == gzip.decompress(whole.read_bytes())
    else:
        assert out.read_bytes() == whole.read_bytes()
    assert not beside(out, "bad.jsonl").exists()
    certificate = json.loads(beside(out, "certificate.json").read_bytes())
    assert (certificate["rows"], certificate["bad_rows"], certificate["leaking_rows"]) == (6, 0, 0)
    assert certificate["hashes"]["output"] == sinks.file_hash(out)
    assert run(source, out, *options, "--retry-dead") == 2


def test_what_is_still_bad_stays_in_the_list_with_its_new_place(
    tmp_path: Path, strict: tuple[str, str]
) -> None:
    source, out = (
        write(tmp_path / "in.jsonl", LEAKING, row(LEAKING), "bad", row("好"), "bad"),
        tmp_path / "out.jsonl",
    )
    assert run(source, out, *strict) == 3
    assert run(source, out, *strict, "--retry-dead") == 3
    assert [fault["line"] for fault in lines_of(beside(out, "bad.jsonl"))] == [1, 2, 3, 5]
    assert run(source, out, "--retry-dead") == 3
    left = lines_of(beside(out, "bad.jsonl"))
    size = len(out.read_bytes())
    assert [(fault["line"], fault["reason"]) for fault in left] == [
        (1, "not_json"),
        (3, "not_json"),
        (5, "not_json"),
    ]
    assert left[0]["at"] == 0
    assert left[2]["at"] == size
    certificate = json.loads(beside(out, "certificate.json").read_bytes())
    assert (certificate["rows"], certificate["bad_rows"], certificate["leaking_rows"]) == (2, 3, 0)


def test_a_whole_document_is_done_again(tmp_path: Path, strict: tuple[str, str]) -> None:
    top, out = tmp_path / "in", tmp_path / "out"
    top.mkdir()
    (top / "a.html").write_text(f"<p>{LEAKING}</p>", encoding="utf-8")
    (top / "b.txt").write_text("好", encoding="utf-8")
    assert run(top, out, *strict) == 3
    assert [path.name for path in out.iterdir()] == ["b.txt"]
    assert run(top, out, "--retry-dead") == 0
    assert PHONE not in (out / "a.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("changed", ["input", "output", "columns"])
def test_rows_are_not_put_into_something_else(
    tmp_path: Path, changed: str, strict: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = write(tmp_path / "in.jsonl", row("好"), row(LEAKING)), tmp_path / "out.jsonl"
    assert run(source, out, *strict) == 3
    if changed != "columns":
        with (source if changed == "input" else out).open("ab") as file:
            file.write(b"\n")
    before = contents(tmp_path)
    assert run(source, out, "--retry-dead", *(("--columns", "$.text") if changed == "columns" else ())) == 2
    message = capsys.readouterr().err
    assert ("was changed" if changed == "output" else f"another {changed}") in message
    assert contents(tmp_path) == before


def test_a_retry_that_is_killed_between_two_renamings_is_finished_by_the_next(
    tmp_path: Path, strict: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = write(tmp_path / "in.jsonl", row("好"), row(LEAKING), "bad"), tmp_path / "out.jsonl"
    assert run(source, out, *strict) == 3
    rename, calls = Path.replace, []

    def dies(self: Path, target: Path) -> Path:
        if self.parent.name == "out.jsonl.job.retry":
            calls.append(target)
            if len(calls) == 2:
                raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", dies)
    assert run(source, out, "--retry-dead") == 130
    monkeypatch.undo()
    assert run(source, out, "--retry-dead") == 3
    assert len(out.read_bytes().splitlines()) == 2
    assert [fault["line"] for fault in lines_of(beside(out, "bad.jsonl"))] == [3]
    assert not beside(out, "job.retry").exists()


def test_too_many_bad_rows_stop_a_job_that_goes_on_with_more(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", *(["bad", row(PHONE)] * 6))
    out = tmp_path / "out.jsonl"
    assert run(source, out, "--set", "shard_rows=2", "--max-bad-rows", "2") == 1
    assert not out.exists()
    assert run(source, out, "--set", "shard_rows=2", "--max-bad-rows", "6") == 3
    assert len(lines_of(out)) == 6


def test_the_text_of_bad_rows_is_kept_where_it_is_asked_for(tmp_path: Path) -> None:
    source, out = write(tmp_path / "in.jsonl", row("好"), f"bad {PHONE}"), tmp_path / "out.jsonl"
    assert run(source, out) == 3
    assert PHONE not in beside(out, "bad.jsonl").read_text()
    assert run(source, out, "--bad-row-texts") == 3
    assert lines_of(beside(out, "bad.jsonl"))[0]["text"] == f"bad {PHONE}"


# --- what stops a job -------------------------------------------------------------------------------


def test_a_terminated_job_finishes_its_shard_first(tmp_path: Path) -> None:
    """A scheduler's SIGTERM loses no work: what was begun is in the journal, and nothing else was begun."""
    source = write(tmp_path / "in.jsonl", *(row(f"{n} 今天天气很好。" * 40) for n in range(600)))
    out, whole = tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    options = ("--set", "shard_rows=20", "--workers", "0")
    assert run(source, whole, *options) == 0
    command = [sys.executable, "-m", "pii", "redact", str(source), "-o", str(out), *PATTERNS, *options]
    job = subprocess.Popen(command, stderr=subprocess.PIPE)
    journal = beside(out, "job") / JOURNAL
    while job.poll() is None and not (journal.exists() and journal.read_bytes().count(b"\n") > 3):
        time.sleep(0.002)
    job.send_signal(signal.SIGTERM)
    _, said = job.communicate()
    assert job.returncode == 130
    assert b"goes on from here" in said
    shards = [entry for entry in lines_of(journal) if "end" in entry]
    assert 0 < len(shards) < 30
    assert {path.name for path in journal.parent.glob("*.out")} == {
        f"{n:06d}.out" for n in range(len(shards))
    }
    assert run(source, out, *options) == 0
    assert out.read_bytes() == whole.read_bytes()


def test_a_job_that_is_killed_while_it_cleans_up_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = write(tmp_path / "in.jsonl", row(PHONE)), tmp_path / "out.jsonl"

    def dies(folder: Path, **_: Any) -> None:
        if folder.exists():
            (folder / JOURNAL).unlink()
            raise KeyboardInterrupt

    monkeypatch.setattr(sinks.shutil, "rmtree", dies)
    assert run(source, out) == 130
    monkeypatch.undo()
    assert run(source, out) == 0
    assert not list(tmp_path.glob("*.job*"))


def test_a_full_disk_in_mid_job_is_one_line_and_the_job_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "in.jsonl", *(row(f"{n} {PHONE}") for n in range(9)))
    out, whole = tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    options = ("--set", "shard_rows=2")
    assert run(source, whole, *options) == 0
    opened = atomic._opened

    class Full:
        def __init__(self, file: Any) -> None:
            self._file = file

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *_: object) -> None:
            self._file.close()

        def write(self, content: bytes) -> int:
            raise OSError(28, os.strerror(28))

    def fills(path: Path, mode: str) -> Any:
        return Full(opened(path, mode)) if "000002.out" in path.name else opened(path, mode)

    monkeypatch.setattr(atomic, "_opened", fills)
    assert run(source, out, *options) == 2
    assert "No space left" in capsys.readouterr().err
    assert not list(beside(out, "job").glob(".*.half"))
    monkeypatch.undo()
    assert run(source, out, *options) == 0
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_that_may_not_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "in.jsonl", row(PHONE))
    (tmp_path / "closed").mkdir(mode=0o500)
    assert run(source, tmp_path / "closed" / "out.jsonl") == 2
    assert "Permission denied" in capsys.readouterr().err


def test_an_output_below_a_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "in.jsonl", row(PHONE))
    assert run(source, source / "out.jsonl") == 2
    assert len([x for x in capsys.readouterr().err.splitlines() if x.startswith("error: ")]) == 1


# --- workers ----------------------------------------------------------------------------------------


def test_worker_processes_give_the_same_bytes_and_the_same_manifest(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("5a" * 32)
    source = write(
        tmp_path / "in.jsonl", *(row(f"{n} 张三，电话{PHONE}") if n % 7 else "bad" for n in range(60))
    )
    options = ("--policy", "gdpr", "--key-file", str(tmp_path / "key"), "--set", "shard_rows=4")
    own, many = tmp_path / "own.jsonl", tmp_path / "many.jsonl"
    assert run(source, own, *options, "--workers", "0") == 3
    assert run(source, many, *options, "--workers", "2") == 3
    for ending in ("", ".bad.jsonl", ".manifest.jsonl", ".certificate.json"):
        assert Path(f"{own}{ending}").read_bytes() == Path(f"{many}{ending}").read_bytes()
    key = RedactionKey.from_file(tmp_path / "key")
    assert verify_certificate(beside(many, "certificate.json").read_text(), key).rows == 51


@pytest.mark.slow
def test_a_worker_that_dies_ends_the_job_and_the_same_command_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = write(tmp_path / "in.jsonl", *(row(f"{n} {PHONE}") for n in range(40)))
    out, whole = tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    options = ("--set", "shard_rows=2")
    assert run(source, whole, *options) == 0
    add = sinks.FileSink.add

    def kills(self: sinks.FileSink, shard: Any) -> None:
        add(self, shard)
        import multiprocessing

        for child in multiprocessing.active_children():
            os.kill(child.pid or 0, signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sinks.FileSink, "add", kills)
        assert run(source, out, *options, "--workers", "2") == 1
    assert "a worker process died" in caplog.text
    assert run(source, out, *options, "--workers", "2") == 0
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_workers_write_what_a_model_found(tmp_path: Path, untrained_model: Path) -> None:
    source = write(tmp_path / "in.jsonl", *(row(f"{n} 我叫张三，电话{PHONE}") for n in range(12)))
    options = ["--model", str(untrained_model), "--set", "extractor.engine=transformers", "--quiet"]
    options += [
        "--set",
        "extractor.max_new_tokens=16",
        "--set",
        "shard_rows=3",
        "--types",
        "PERSON_NAME,PHONE_NUMBER",
    ]
    outs = [tmp_path / "own.jsonl", tmp_path / "many.jsonl"]
    for out, workers in zip(outs, ("0", "2"), strict=True):
        assert redact.main([str(source), "-o", str(out), *options, "--workers", workers]) == 0
    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert len(lines_of(outs[0])) == 12


# --- what is seen -----------------------------------------------------------------------------------


def test_schedulers_get_progress_as_json_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "in.jsonl", *(row(PHONE) for _ in range(5)), "bad")
    assert redact.main([str(source), "-o", str(tmp_path / "out"), *PATTERNS, "--progress", "json"]) == 3
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    assert lines[-1]["bytes"] == lines[-1]["total_bytes"] == source.stat().st_size
    assert (lines[-1]["rows"], lines[-1]["bad_rows"]) == (5, 1)
    assert lines[-1]["entities"] == {"PHONE_NUMBER": 5}


def test_the_bar_shows_bytes_and_types(monkeypatch: pytest.MonkeyPatch) -> None:
    from collections import Counter

    from serving.progress import Bar

    shown: list[str] = []
    bar = Bar("redact", 100, 0)
    monkeypatch.setattr(bar._bar, "set_postfix", lambda **kept: shown.append(json.dumps(kept)))
    bar.advance(50, Counter({"rows": 3, "bad_rows": 1, "PHONE_NUMBER": 7, "type:PHONE_NUMBER": 7}))
    assert json.loads(shown[0]) == {"rows": 3, "bad": 1, "PHONE_NUMBER": 7, "refresh": False}
    bar.close()


def test_a_job_ends_with_a_summary_for_programs_and_one_for_people(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", row(f"电话{PHONE}"), "bad")
    summaries = [tmp_path / "s.json", tmp_path / "s.html"]
    options = [word for path in summaries for word in ("--summary", str(path))]
    assert run(source, tmp_path / "out.jsonl", *options) == 3
    summary = json.loads(summaries[0].read_bytes())
    assert (summary["rows"], summary["bad_rows"], summary["bytes"]) == (1, 1, source.stat().st_size)
    assert summary["entities"] == {"PHONE_NUMBER": 1}
    assert summary["bad_rows_by_reason"] == {"not_json": 1}
    page = summaries[1].read_text(encoding="utf-8")
    assert page.count("<svg") == 4
    assert "PHONE_NUMBER" in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert run(source, tmp_path / "out.jsonl", "--summary", "s.pdf") == 2


@pytest.mark.slow
def test_a_killed_job_leaves_no_workers_behind(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", *(row(f"{n} 今天天气很好。" * 200) for n in range(2000)))
    command = [sys.executable, "-m", "pii", "redact", str(source), "-o", str(tmp_path / "out"), *PATTERNS]
    job = subprocess.Popen([*command, "--workers", "2", "--set", "shard_rows=50"], stderr=subprocess.DEVNULL)
    journal = beside(tmp_path / "out", "job") / JOURNAL
    while job.poll() is None and not (journal.exists() and journal.read_bytes().count(b"\n") > 2):
        time.sleep(0.01)
    children = Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()
    job.kill()
    job.wait()
    assert len(children) >= 2
    deadline = time.monotonic() + 20
    while any(_lives(int(child)) for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_lives(int(child)) for child in children)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_recipe_for_spark_redacts_series_of_texts(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code of the documentation, with Spark's decorator alone left out."""
    pd = pytest.importorskip("pandas")
    functions = types.ModuleType("pyspark.sql.functions")
    functions.pandas_udf = lambda _: lambda function: function  # type: ignore[attr-defined]
    for name in ("pyspark", "pyspark.sql"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "pyspark.sql.functions", functions)
    page = (repository / "docs" / "batch.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    done = list(names["redacted"](iter([pd.Series([f"电话{PHONE}", "好"]), pd.Series([PHONE])])))
    assert [list(series) for series in done] == [["电话<PHONE_NUMBER>", "好"], ["<PHONE_NUMBER>"]]
