"""Timings are of work that was done, by as many callers as asked for, and the three ways do the same work."""

import asyncio
import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from evaluation import bench, load, roofline, run, speed, watched
from evaluation.bench import Bench, Effort
from serving.engines.protocol import Generation
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig


def drive(ask, requests, **how):
    return asyncio.run(load.drive(ask, requests, **{"seconds": 60, "most": 10**6, **how}))


@pytest.mark.parametrize("concurrency", [1, 3, 7])
def test_as_many_callers_as_asked_for_are_under_way(concurrency):
    under_way, most, asked = 0, 0, []

    async def ask(request):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        asked.append(request)
        await asyncio.sleep(0.001)
        under_way -= 1

    timing = drive(ask, "abc", concurrency=concurrency, most=21)
    assert most == concurrency
    assert len(timing.latencies) == len(asked) == 21
    assert asked[:3] == ["a", "b", "c"]
    assert all(0.001 <= latency <= timing.seconds for latency in timing.latencies)


def test_every_caller_asks_at_least_once_and_no_longer_than_its_time():
    async def ask(_):
        await asyncio.sleep(0.02)

    timing = drive(ask, "a", concurrency=5, seconds=0.0)
    assert len(timing.latencies) == 5
    longer = drive(ask, "a", concurrency=1, seconds=0.15)
    assert 1 <= len(longer.latencies) <= 8


def test_a_tail_is_told_only_from_enough_requests():
    many = load.Timing(1.0, tuple(n / 1000 for n in range(1, 101))).summary()
    assert (many["p50_ms"], many["p95_ms"], many["p99_ms"]) == (50.5, 95.05, 99.01)
    few = load.Timing(1.0, (0.5,) * 19).summary()
    assert (few["p50_ms"], few["p95_ms"], few["p99_ms"]) == (500.0, None, None)


def test_a_failing_request_ends_the_load():
    async def ask(_):
        raise RuntimeError("broken")

    with pytest.raises(ExceptionGroup):
        drive(ask, "a", concurrency=2)


def test_memory_is_watched_while_it_is_held():
    held = (
        "import time\n"
        "from evaluation.load import watched_memory\n"
        "with watched_memory() as memory:\n"
        "    before, ends = memory.peak, time.monotonic() + 20\n"
        "    held = bytearray(60_000_000)\n"
        "    while memory.peak - before < 40_000_000 and time.monotonic() < ends:\n"
        "        time.sleep(0.02)\n"
        "    del held\n"
        "print(memory.peak - before)"
    )
    # A process of its own: in this one, what earlier tests left may be given back meanwhile.
    grown = subprocess.run(
        [sys.executable, "-c", held], capture_output=True, text=True, check=True, timeout=120
    )
    assert int(grown.stdout) > 40_000_000


@pytest.mark.parametrize("length", [1, 10, 57, 400])
def test_texts_have_the_length_asked_for(length):
    texts = bench.texts_of(["我叫张三。" * 4, "I am Ann.", "x" * 200], length)
    assert texts
    assert {len(text) for text in texts} == {length}


@pytest.mark.parametrize(
    ("rows", "tokens", "limit", "bound", "share"),
    [(1, 50, 100, "memory", 0.5), (4, 100, 400, "memory", 0.25), (1000, 1000, 5000, "compute", 0.2)],
)
def test_the_roof_is_the_lower_of_memory_and_compute(rows, tokens, limit, bound, share):
    weights = roofline.Weights(num=1000, bytes=4000)
    machine = roofline.Machine("cpu", bytes_per_second=400_000, flops_per_second=10_000_000)
    told = roofline.share(weights, machine, rows=rows, tokens_per_second=tokens)
    assert min(told["memory_limit"], told["compute_limit"]) == limit
    assert (told["bound_by"], told["share"]) == (bound, share)


@pytest.mark.parametrize(("tied", "num"), [(True, 60 + 20), (False, 20 + 60)])
def test_weights_that_every_step_reads(tmp_path, tied, num):
    """A tied table is the head too and is read whole; of an untied one a step reads a row."""
    tensors = {
        "model.embed_tokens.weight": np.zeros((12, 5), np.float32),
        "model.layers.0.mlp.weight": np.zeros((4, 5), np.float32),
    }
    if not tied:
        tensors["lm_head.weight"] = np.zeros((12, 5), np.float32)
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"tie_word_embeddings": tied}))
    assert roofline.weights_of(tmp_path, "bfloat16") == roofline.Weights(num, 2 * num)


class Engine:
    """Answers every prompt with its budget in tokens."""

    name, description, is_alive = "fake", "fake 1.0, cpu, float32", True

    def __init__(self):
        self.asked = []

    async def generate(self, prompt_ids, grammar, max_new_tokens, end_bias=0.0, draft_ids=()):
        self.asked.append((tuple(prompt_ids), grammar, max_new_tokens))
        await asyncio.sleep(0.01)
        return Generation("x", (7,) * max_new_tokens, (0.0,) * max_new_tokens, "length")

    async def close(self):
        pass


def test_a_watched_engine_counts_and_repeats_what_it_was_asked():
    engine = Engine()
    seen = watched.WatchedEngine(engine)

    async def go():
        with seen.remembering() as calls:
            await seen.generate([1, 2, 3], "g", 5)
            await seen.generate([4], None, 2)
        before = seen.snapshot()
        await seen.replay(calls)
        await seen.replay([call.of_one_token() for call in calls])
        return calls, before

    calls, before = asyncio.run(go())
    assert engine.asked[:2] == engine.asked[2:4] == [((1, 2, 3), "g", 5), ((4,), None, 2)]
    assert [budget for _, _, budget in engine.asked[4:]] == [1, 1]
    assert (before.num_calls, before.num_prompt_tokens, before.num_tokens) == (2, 4, 7)
    since = seen.snapshot().since(before)
    assert (since.num_calls, since.num_tokens) == (4, 9)
    assert since.busy >= 4 * 0.01
    assert "1" not in repr(calls[0]).replace("num_prompt_tokens=3", "")


def recipe(tmp_path, extractor):
    row = {
        "id": "1",
        "source": "own",
        "language": "zh",
        "text": "我叫张三，电话13800138000。" * 8,
        "entities": [],
    }
    (tmp_path / "test.jsonl").write_text(json.dumps(row) + "\n")
    values = {
        "output": str(tmp_path / "eval"),
        "splits": {"test": {"file": str(tmp_path / "test.jsonl")}},
        "extractor": extractor,
    }
    (tmp_path / "eval.yaml").write_text(json.dumps(values))
    return ["speed", "--config", str(tmp_path / "eval.yaml"), "--seconds", "0.2"]


def test_the_command_times_library_and_http(tmp_path, capsys):
    words = recipe(tmp_path, {"detectors": "patterns"})
    assert run.main([*words, "--lengths", "80", "--concurrency", "1", "2"]) == 0
    folder = tmp_path / "eval-speed"
    report = json.loads((folder / speed.REPORT).read_text())
    assert {load: list(ways) for load, ways in report["loads"].items()} == {
        "80x1": ["library", "http"],
        "80x2": ["library", "http"],
    }
    for ways in report["loads"].values():
        assert all(
            r["num_requests"] >= r["concurrency"] and r["documents_per_second"] > 0 for r in ways.values()
        )
    assert report["roofline"] is None
    assert report["peak_memory_bytes"] > 10**7
    assert len(report["machine_load"]) == 2
    assert "80 chars × 2, http" in capsys.readouterr().out
    for file in folder.iterdir():
        assert "13800138000" not in file.read_text(), file.name


def test_one_way_can_be_timed_alone(tmp_path):
    words = recipe(tmp_path, {"detectors": "patterns"})
    assert run.main([*words, "--lengths", "80", "--concurrency", "1", "--ways", "library"]) == 0
    report = json.loads((tmp_path / "eval-speed" / speed.REPORT).read_text())
    assert list(report["loads"]["80x1"]) == ["library"]


@pytest.mark.parametrize("wrong", [["--lengths", "0"], ["--concurrency", "-1"], ["--seconds", "0"]])
def test_impossible_loads_are_refused(tmp_path, wrong, capsys):
    assert run.main([*recipe(tmp_path, {"detectors": "patterns"}), *wrong]) == 2
    assert "above 0" in capsys.readouterr().err


@pytest.mark.slow
def test_library_http_and_engine_do_the_same_work(untrained_model):
    """The same texts make the same calls and tokens whichever way they go: seconds can be compared."""
    config = ExtractorConfig(model=untrained_model, engine="transformers", max_new_tokens=24)
    watching = []

    def around(engine):
        watching.append(watched.WatchedEngine(engine))
        return watching[-1]

    texts = bench.texts_of(["我叫张三，电话13800138000。" * 30], 150)
    with Extractor.open(config, around) as extractor:
        timed = Bench(extractor, watching[0], Effort(seconds=60, requests=2))
        rows = list(timed.rows({150: texts}, [2]))
    assert [row["way"] for row in rows] == ["library", "http", "engine"]
    assert len({(row["num_requests"], row["num_calls"], row["num_tokens"]) for row in rows}) == 1
    assert rows[0]["num_tokens"] > 0
    told = rows[2]["decoding"]
    assert told is None or told[1] > 0
