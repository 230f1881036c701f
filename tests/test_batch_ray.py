"""A job on a local Ray cluster is the same job: results, bad rows, manifest, certificate, byte for byte."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving import redact, sinks

pytestmark = pytest.mark.slow
ENDINGS = ("", ".bad.jsonl", ".manifest.jsonl", ".certificate.json")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Four cores as Ray is told, whatever the machine has, so that several workers are there."""
    ray = pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=4, log_to_driver=False, include_dashboard=False)
    yield ray
    ray.shutdown()


def write(path: Path, num: int) -> Path:
    lines = (
        json.dumps({"n": n, "text": f"{n} 张三，电话1380013{n:04d}"}) if n % 7 else "bad" for n in range(num)
    )
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., int]:
    (tmp_path / "key").write_text("5a" * 32)
    options = ["--detectors", "patterns", "--quiet", "--policy", "gdpr", "--key-file", str(tmp_path / "key")]

    def run(source: Path, out: Path, *further: str) -> int:
        return redact.main([str(source), "-o", str(out), *options, "--set", "shard_rows=10", *further])

    return run


def same(one: Path, other: Path) -> bool:
    return all(Path(f"{one}{end}").read_bytes() == Path(f"{other}{end}").read_bytes() for end in ENDINGS)


def worker_of(number: int) -> int:
    """The process of one of Ray's actors; they are named after what they do."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = stat.read_bytes()
        except OSError:
            continue
        if words.startswith(b"ray::MapWorker"):
            found.append(int(stat.parent.name))
    return sorted(found)[number]


def test_a_worker_that_is_killed_in_mid_job_changes_nothing(
    cluster: Any, tmp_path: Path, run: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "in.jsonl", 400)
    assert run(source, tmp_path / "local.jsonl") == 3
    add, killed = sinks.FileSink.add, []

    def kills(self: sinks.FileSink, shard: Any) -> None:
        add(self, shard)
        if not killed:
            killed.append(worker_of(0))
            os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setattr(sinks.FileSink, "add", kills)
    assert run(source, tmp_path / "ray.jsonl", "--runner", "ray", "--workers", "3") == 3
    assert killed
    assert same(tmp_path / "local.jsonl", tmp_path / "ray.jsonl")


def test_a_job_begun_on_one_machine_goes_on_on_ray(
    cluster: Any, tmp_path: Path, run: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "in" / "a.jsonl", 90).parent
    write(source / "b.jsonl", 40)
    assert run(source, tmp_path / "local") == 3
    add, num = sinks.FileSink.add, []

    def stops(self: sinks.FileSink, shard: Any) -> None:
        add(self, shard)
        num.append(1)
        if len(num) == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sinks.FileSink, "add", stops)
        assert run(source, tmp_path / "ray") == 130
    assert run(source, tmp_path / "ray", "--runner", "ray", "--workers", "2") == 3
    for name in ("a.jsonl", "b.jsonl"):
        assert (tmp_path / "local" / name).read_bytes() == (tmp_path / "ray" / name).read_bytes()
    for ending in ENDINGS[1:]:
        assert (
            Path(f"{tmp_path / 'local'}{ending}").read_bytes()
            == Path(f"{tmp_path / 'ray'}{ending}").read_bytes()
        )
