"""Jobs that are killed at any moment, any number of times: every row exactly once, byte for byte.

Twenty kills by default; ``KILLS=200 python -m pytest -m slow tests/test_batch_kills.py`` for more.
"""

import gzip
import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from serving import redact

NUM_KILLS = int(os.environ.get("KILLS", "20"))
FILLER = "今天天气很好，我们去公园散步。" * 30
ROWS = 240


@pytest.fixture
def job(tmp_path: Path) -> tuple[Path, list[str]]:
    """A folder of three formats with bad rows among them, and the options of a job with surrogates."""
    top = tmp_path / "in"
    top.mkdir()
    lines = [
        json.dumps({"n": n, "text": f"{FILLER}电话13{n % 5}{n:08d}"}, ensure_ascii=False) if n % 9 else "bad"
        for n in range(ROWS)
    ]
    (top / "a.jsonl").write_text("\n".join(lines[: ROWS // 2]) + "\n", encoding="utf-8")
    (top / "b.jsonl.gz").write_bytes(gzip.compress("\n".join(lines[ROWS // 2 :]).encode()))
    (top / "c.csv").write_text("n,text\n" + f"1,电话13800138000{FILLER}\n" * 40, encoding="utf-8")
    (tmp_path / "key").write_text("5a" * 32)
    (tmp_path / "fake.yaml").write_text("default: {operator: surrogate}\n")
    options = ["--detectors", "patterns", "--quiet", "--workers", "0", "--set", "shard_rows=4"]
    return top, [*options, "--policy", str(tmp_path / "fake.yaml"), "--key-file", str(tmp_path / "key")]


def contents(out: Path) -> dict[str, bytes]:
    files = [path for path in out.rglob("*") if path.is_file()]
    files += [Path(f"{out}.{end}") for end in ("bad.jsonl", "manifest.jsonl", "certificate.json")]
    return {str(path).replace(str(out), ""): path.read_bytes() for path in files}


def begin(arguments: list[str]) -> int:
    """The job in a process of its own; returns its number."""
    child = os.fork()
    if child:
        return child
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os._exit(redact.main(arguments))
    finally:
        os._exit(70)


@pytest.mark.slow
def test_kills_at_random_moments_lose_and_repeat_nothing(tmp_path: Path, job: tuple[Path, list[str]]) -> None:
    source, options = job
    whole, out = tmp_path / "whole", tmp_path / "out"
    started = time.monotonic()
    assert redact.main([str(source), "-o", str(whole), *options]) == 3
    expected, seconds = contents(whole), time.monotonic() - started
    numbers = [json.loads(line)["n"] for line in expected["/a.jsonl"].splitlines()]
    assert numbers == [n for n in range(ROWS // 2) if n % 9]
    chance = random.Random(7)
    num_kills = num_jobs = 0
    deadline = time.monotonic() + 60 + 30 * NUM_KILLS * seconds
    while num_kills < NUM_KILLS or num_jobs == 0:
        assert time.monotonic() < deadline
        child = begin([str(source), "-o", str(out), *options])
        if num_kills < NUM_KILLS:
            # From before the first shard to the joining of the last; most of them somewhere within.
            time.sleep(chance.uniform(0.0, seconds * chance.choice((0.1, 0.4, 1.1))))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            num_kills += 1
            continue
        assert os.waitstatus_to_exitcode(status) == 3
        num_jobs += 1
        assert contents(out) == expected
        assert not Path(f"{out}.job").exists()
        shutil.rmtree(out)
        for ending in ("bad.jsonl", "manifest.jsonl", "certificate.json"):
            Path(f"{out}.{ending}").unlink()
    assert num_kills >= NUM_KILLS
