"""Jobs whose files are in an S3 store, by both clients that speak to it: Arrow's and s3fs."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serving import redact, restore
from serving.files import stores
from tests.s3_store import Store, storing

fsspec = pytest.importorskip("fsspec")
pytest.importorskip("pyarrow")
pytest.importorskip("moto")

pytestmark = pytest.mark.slow

PHONE = "13800138000"
OPTIONS = ("--detectors", "patterns", "--quiet", "--workers", "0")
CLEAN = b'{"text":"<PHONE_NUMBER>"}\n'
ROW = b'{"text":"%s"}\n' % PHONE.encode()
PART = 5 << 20
"""The least that S3 allows a part that is not the last."""

WITHOUT_S3FS = "import sys; sys.modules['s3fs'] = None; "
"""Then the job speaks to the store by Arrow."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with storing(tmp_path_factory.mktemp("s3") / "store") as running:
        for name in ("notes", "locked"):
            running.client.create_bucket(Bucket=name)
        deny = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": "arn:aws:s3:::locked/*",
        }
        running.client.put_bucket_policy(
            Bucket="locked", Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]})
        )
        for key, content in {"a.jsonl": ROW, "b/c.txt": PHONE.encode(), "b/d.jsonl": ROW * 2}.items():
            running.client.put_object(Bucket="notes", Key=key, Body=content)
        yield running


@pytest.fixture(params=["arrow", "s3fs"])
def store(
    request: pytest.FixtureRequest, server: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    """The server with an empty bucket ``clean``, and this process as a client of it."""
    if request.param == "arrow":
        monkeypatch.setitem(sys.modules, "s3fs", None)
    else:
        pytest.importorskip("s3fs")
        # Of this process, and of those that it begins.
        monkeypatch.setitem(fsspec.config.conf, "s3", {"default_block_size": PART})
        monkeypatch.setenv("FSSPEC_S3", json.dumps({"default_block_size": PART}))
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    forget_clients()
    server.client.create_bucket(Bucket="clean")
    yield server
    forget_clients()
    server.hold("")
    (server.folder / "break").unlink(missing_ok=True)
    for name in server.names("clean"):
        server.client.delete_object(Bucket="clean", Key=name)
    server.client.delete_bucket(Bucket="clean")


def forget_clients() -> None:
    """They are kept with the address of the store that they were made for."""
    stores._arrow_s3.cache_clear()
    if loaded := sys.modules.get("s3fs"):
        loaded.S3FileSystem.clear_instance_cache()


def run(source: str, out: str, *options: str) -> int:
    return redact.main([source, "-o", out, *OPTIONS, *options])


def until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, "the job has ended before its time"
        assert time.monotonic() < end
        time.sleep(0.01)


def test_objects_folders_and_patterns_are_read_and_written(store: Store, tmp_path: Path) -> None:
    assert run("s3://notes/a.jsonl", "s3://clean/one/a.jsonl") == 0
    assert run("s3://notes", "s3://clean/all") == 0
    assert run("s3://notes/**/*.jsonl", "s3://clean/some/") == 0
    assert run("s3://notes/b/d.jsonl", "s3://clean/d.jsonl.gz") == 0
    assert run("s3://clean/d.jsonl.gz", str(tmp_path / "d.jsonl")) == 0
    # Nothing else: no empty objects in the place of folders.
    assert store.names("clean") == [
        *("all/a.jsonl", "all/b/c.txt", "all/b/d.jsonl", "d.jsonl.gz"),
        *("one/a.jsonl", "some/a.jsonl", "some/b/d.jsonl"),
    ]
    assert store.read("clean", "one/a.jsonl") == CLEAN
    assert store.read("clean", "all/b/c.txt") == b"<PHONE_NUMBER>"
    assert store.read("clean", "some/b/d.jsonl") == CLEAN * 2
    assert (tmp_path / "d.jsonl").read_bytes() == CLEAN * 2


def test_what_was_sealed_into_a_store_comes_back_from_it(store: Store, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("5a" * 32)
    (tmp_path / "seal.yaml").write_text("default: {operator: encrypt}\n")
    key = ("--key-file", str(tmp_path / "key"))
    assert run("s3://notes", "s3://clean/sealed", "--policy", str(tmp_path / "seal.yaml"), *key) == 0
    assert PHONE.encode() not in b"".join(store.read("clean", name) for name in store.names("clean"))
    assert restore.main(["s3://clean/sealed", "-o", "s3://clean/back", *key, "--quiet"]) == 0
    for name in ("a.jsonl", "b/c.txt", "b/d.jsonl"):
        assert store.read("clean", f"back/{name}") == store.read("notes", name)


def test_formats_that_are_read_from_their_end_are_read_from_a_store(store: Store, tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"n": [1, 2], "text": [PHONE, "x"]}), tmp_path / "a.parquet")
    store.client.upload_file(str(tmp_path / "a.parquet"), "clean", "a.parquet")
    assert run("s3://clean/a.parquet", "s3://clean/b.parquet") == 0
    store.client.download_file("clean", "b.parquet", str(tmp_path / "b.parquet"))
    assert parquet.read_table(tmp_path / "b.parquet").to_pydict() == {
        "n": [1, 2],
        "text": ["<PHONE_NUMBER>", "x"],
    }


@pytest.mark.parametrize(
    ("source", "out", "message"),
    [
        ("s3://notes/missing.jsonl", "s3://clean/a.jsonl", "s3://notes/missing.jsonl: no such file"),
        ("s3://missing/a.jsonl", "s3://clean/a.jsonl", "s3://missing/a.jsonl: no such file"),
        ("s3://notes/b/*.csv", "s3://clean/all", "s3://notes/b/*.csv: no files there"),
        ("s3://notes/a.jsonl", "s3://missing/a.jsonl", "s3://missing/a.jsonl: no such bucket"),
        ("s3://notes/a.jsonl", "s3://locked/b.jsonl", "s3://locked/b.jsonl: access denied"),
    ],
)
def test_what_a_store_refuses_is_one_line_with_its_address(
    store: Store, source: str, out: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(source, out) == 2
    told = capsys.readouterr().err
    assert message in told
    assert PHONE not in told
    assert "Traceback" not in told
    assert store.names("clean") == []
    assert store.names("locked") == []
    assert {one["Name"] for one in store.client.list_buckets()["Buckets"]} == {"notes", "locked", "clean"}


def test_a_store_that_does_not_answer_is_not_an_empty_one(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    forget_clients()
    assert run("s3://notes/a.jsonl", "s3://clean/a.jsonl") == 2
    assert "s3://notes/a.jsonl: the store" in capsys.readouterr().err


def long(name: str, num_rows: int, store: Store) -> str:
    """An object of several parts, most of which nobody looks through."""
    padding = "x" * 200_000
    rows = [json.dumps({"n": n, "text": f"电话13{n:09d}", "padding": padding}) for n in range(num_rows)]
    store.client.put_object(Bucket="clean", Key=name, Body=("\n".join(rows) + "\nbad\n").encode())
    return f"s3://clean/{name}"


def test_an_object_whose_upload_fails_does_not_appear_and_the_job_goes_on(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    source = long("in.jsonl", 120, store)
    (store.folder / "break").touch()
    assert run(source, "s3://clean/a.jsonl") == 2
    assert "s3://clean/a.jsonl: " in capsys.readouterr().err
    assert store.names("clean") == ["in.jsonl"]
    (store.folder / "break").unlink()
    assert run(source, "s3://clean/a.jsonl") == 3
    assert store.read("clean", "a.jsonl").count(b"<PHONE_NUMBER>") == 120


def begun(source: str, out: str) -> subprocess.Popen[bytes]:
    """The job in a process of its own, which speaks to the store as this one does."""
    # What runs behind a terminal, as CI may, has Ctrl-C ignored, and its children inherit that.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "import sys; from serving import redact; sys.exit(redact.main(sys.argv[1:]))"
    if sys.modules.get("s3fs", True) is None:
        code = WITHOUT_S3FS + code
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))}
    return subprocess.Popen(
        [sys.executable, "-c", code, source, "-o", out, *OPTIONS, "--set", "shard_rows=2"],
        env=environment, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def test_a_job_killed_at_work_and_at_its_upload_gives_the_object_of_an_uninterrupted_one(
    store: Store, tmp_path: Path
) -> None:
    source, out = long("in.jsonl", 60, store), "s3://clean/a.jsonl"
    assert run(source, "s3://clean/whole.jsonl", "--set", "shard_rows=2") == 3
    expected = store.read("clean", "whole.jsonl")
    assert expected.count(b"<PHONE_NUMBER>") == 60
    store.hold("part")
    at_work = begun(source, out)
    until(lambda: any(journal.read_bytes().count(b"\n") > 8 for journal in journals(tmp_path)), at_work)
    at_work.send_signal(signal.SIGKILL)
    at_work.wait(30)
    assert not store.is_held
    [journal] = journals(tmp_path)
    assert 8 < journal.read_bytes().count(b"\n") < 32
    uploading = begun(source, out)
    until(lambda: store.is_held, uploading)
    uploading.send_signal(signal.SIGKILL)
    uploading.wait(30)
    store.hold("")
    assert store.names("clean") == ["in.jsonl", "whole.jsonl"]
    assert run(source, out, "--set", "shard_rows=2") == 3
    assert store.read("clean", "a.jsonl") == expected
    assert not journals(tmp_path)


@pytest.mark.parametrize("stage", ["begin", "part"])
def test_an_interrupted_upload_leaves_a_whole_object_or_none(
    store: Store, tmp_path: Path, stage: str
) -> None:
    source, out = long("in.jsonl", 60, store), "s3://clean/a.jsonl"
    store.hold(stage)
    job = begun(source, out)
    until(lambda: store.is_held, job)
    job.send_signal(signal.SIGINT)
    time.sleep(0.2)
    store.hold("")
    assert job.wait(60) == 130
    whole = [store.read("clean", name) for name in store.names("clean") if name == "a.jsonl"]
    assert run(source, out, "--set", "shard_rows=2") == 3
    assert whole in ([], [store.read("clean", "a.jsonl")])
    assert store.read("clean", "a.jsonl").count(b"<PHONE_NUMBER>") == 60


def journals(folder: Path) -> list[Path]:
    return list(folder.glob("*.job/journal.jsonl"))
