"""The build on Ray Data: the very bytes of the local one, and errors that a person can mend."""

import itertools
import json
from pathlib import Path

import pytest

from configs.errors import StageError
from configs.stage import read_manifest
from data_pipeline import build as command
from data_pipeline import distributed
from data_pipeline.distributed import RayWorkers
from pii.errors import DataError

pytestmark = pytest.mark.slow
pytest.importorskip("ray")

base = 0


def begin(value: int) -> None:
    global base
    base = value


def add(number: int) -> int:
    if number == 13:
        raise DataError("thirteen")
    return base + number


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """One Ray for all tests of the module; `RayWorkers` leaves a running one alone."""
    import ray

    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR")
    yield
    ray.shutdown()


def test_results_come_in_the_order_of_endless_tasks():
    with RayWorkers(2, begin, 100) as workers:
        found = list(itertools.islice(workers.map(add, itertools.count(20)), 30))
    assert found == list(range(120, 150))


def test_two_streams_share_the_cluster_and_no_tasks_are_no_results():
    with RayWorkers(2, begin, 0) as workers:
        pairs = zip(workers.map(add, range(9)), workers.map(add, range(20, 29)), strict=True)
        assert list(pairs) == [(n, n + 20) for n in range(9)]
        assert list(workers.map(add, [])) == []


def test_a_users_error_comes_through_as_it_is():
    with RayWorkers(2, begin, 0) as workers, pytest.raises(DataError, match=r"^thirteen$"):
        list(workers.map(add, range(10, 20)))


def test_another_version_on_a_machine_of_the_cluster_is_refused(monkeypatch):
    monkeypatch.setattr(distributed, "code_hash", lambda: "another")
    with RayWorkers(2, begin, 0) as workers, pytest.raises(StageError, match="another version"):
        list(workers.map(add, range(3)))


def test_ray_and_local_processes_write_the_same_bytes(tmp_path: Path):
    def run(name: str, *more: str) -> dict[str, str]:
        settings = (
            f"folder={tmp_path / name / 'set'}", "examples=300", "test=30", "validation=20", "foreign=10",
            "output.shard_rows=100", "output.format=parquet", *more,
        )  # fmt: skip
        assert command.main([part for setting in settings for part in ("--set", setting)]) == 0
        return read_manifest(tmp_path / name / "set")["outputs"]

    local = run("local", "workers=1")
    assert run("ray", "engine=ray") == local
    assert sum(name.startswith("train-") for name in local) == 4
    refused = (tmp_path / "ray" / "set" / "refused.jsonl").read_text(encoding="utf-8").splitlines()
    assert all(json.loads(line)["reason"] for line in refused)
