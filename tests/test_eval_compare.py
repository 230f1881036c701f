"""Two runs are told apart where they differ, and not where they do not."""

import json

import numpy as np
import pytest

from configs.errors import StageError
from evaluation import compare, run
from evaluation.peers import asking
from evaluation.peers.finding import Finding


def counts(correct, gold, predicted):
    return np.asarray([correct, gold, predicted], dtype=np.float32).T


def test_equal_runs_are_not_different():
    a = counts([1, 0, 1, 2], [1, 1, 1, 2], [1, 1, 1, 2])
    found = compare.difference(a, a)
    assert (found["difference"], found["low"], found["high"], found["p_value"]) == (0, 0, 0, 1)


def test_a_run_that_is_better_everywhere_is_different():
    right, wrong = (
        counts(np.ones(60), np.ones(60), np.ones(60)),
        counts(np.zeros(60), np.ones(60), np.ones(60)),
    )
    found = compare.difference(wrong, right)
    assert found["difference"] == 1
    assert found["low"] == 1
    assert found["p_value"] < 0.001


def test_a_small_difference_on_few_documents_may_be_luck():
    a = counts([1, 1, 0, 1, 0, 1], np.ones(6), np.ones(6))
    b = counts([1, 1, 1, 1, 0, 1], np.ones(6), np.ones(6))
    found = compare.difference(a, b)
    assert found["difference"] > 0
    assert found["low"] == 0
    assert found["p_value"] > 0.3


def test_swapping_the_runs_turns_the_sign():
    generator = np.random.default_rng(3)
    a, b = (counts(generator.integers(0, 2, 80), np.ones(80), np.ones(80)) for _ in range(2))
    one, other = compare.difference(a, b), compare.difference(b, a)
    assert one["difference"] == -other["difference"]
    assert one["p_value"] == pytest.approx(other["p_value"], abs=0.03)


def test_the_p_value_of_equal_detectors_is_uniform():
    # Of 60 pairs of equally good detectors about 3 may look different at 5 %.
    generator, alarms = np.random.default_rng(0), 0
    for trial in range(60):
        a, b = (counts(generator.random(60) < 0.7, np.ones(60), np.ones(60)) for _ in range(2))
        alarms += compare.difference(a, b, trial)["p_value"] < 0.05
    assert alarms <= 9


@pytest.fixture
def measured(tmp_path):
    """Measure the patterns on a file; returns a function of the output's name and further settings."""
    gold = tmp_path / "test.jsonl"
    texts = ["电话13800138000", "Mail ann@example.org today", "It rains."]
    gold.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts))

    def measure(name, **more):
        config = tmp_path / f"{name}.yaml"
        values = {
            "output": str(tmp_path / name),
            "splits": {"test": {"file": str(gold)}},
            "extractor": {"detectors": "patterns"},
            "num_resamples": 0,
            **more,
        }
        config.write_text(json.dumps(values))
        assert run.main(["--config", str(config)]) == 0
        return tmp_path / name

    measure.gold = gold
    return measure


def test_the_command_shows_and_writes_the_comparison(measured, tmp_path, capsys):
    a, b = measured("a"), measured("b")
    # The other run loses the spans of the first row.
    path = b / "predictions.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[0]["spans"]["patterns"] = []
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    meta = json.loads((b / "predictions.meta.json").read_text())
    meta["sha256"] = compare.gold.content_hash(path)
    (b / "predictions.meta.json").write_text(json.dumps(meta))
    capsys.readouterr()
    assert run.main(["compare", str(a), str(b), "-o", str(tmp_path / "out.json")]) == 0
    assert "test, patterns: 1 documents changed: 1" in capsys.readouterr().out
    part = json.loads((tmp_path / "out.json").read_text())["splits"]["test"]["patterns"]
    assert part["num_documents"] == 3
    assert part["changed"][0]["a"]["predicted"] == 1
    assert part["changed"][0]["b"]["predicted"] == 0
    assert "13800138000" not in (tmp_path / "out.json").read_text()


def test_two_systems_of_one_run_are_compared_on_its_documents(measured, monkeypatch, capsys):
    class Blind:
        """A peer that finds nothing."""

        description, types = "blind", ("PHONE_NUMBER",)

        def read(self, documents):
            return (Finding() for _ in documents)

        def close(self):
            return {}

    monkeypatch.setattr(asking, "installed", lambda kind, python: "1")
    monkeypatch.setattr(asking, "start", lambda config, card: Blind())
    folder = measured("a", peers={"blind": {"kind": "jionlp"}})
    capsys.readouterr()
    assert run.main(["compare", str(folder), str(folder), "--systems", "patterns", "blind"]) == 0
    shown = capsys.readouterr().out
    assert "test, patterns, then blind: 2 documents changed: 1, 2" in shown
    assert run.main(["compare", str(folder), str(folder)]) == 0
    assert "test, blind: 0 documents changed" in capsys.readouterr().out
    assert run.main(["compare", str(folder), str(folder), "--systems", "patterns", "gone"]) == 2
    assert "no system gone; there are patterns, blind" in capsys.readouterr().err


def test_runs_on_different_samples_are_not_compared(measured, capsys):
    a, b = measured("a"), measured("b", max_documents=1)
    assert run.main(["compare", str(a), str(b)]) == 2
    assert "different samples" in capsys.readouterr().err


def test_runs_on_different_data_are_not_compared(measured, capsys):
    a = measured("a")
    measured.gold.write_text(json.dumps({"text": "other"}) + "\n")
    assert run.main(["compare", str(a), str(measured("b"))]) == 2
    assert "different data" in capsys.readouterr().err


def test_gold_that_has_changed_since_is_noticed(measured):
    a, b = measured("a"), measured("b")
    measured.gold.write_text(json.dumps({"text": "other"}) + "\n")
    with pytest.raises(StageError, match="has changed"):
        compare.runs(a, b)


def test_a_folder_without_a_report_is_one_clear_line(measured, tmp_path, capsys):
    assert run.main(["compare", str(measured("a")), str(tmp_path / "none")]) == 2
    assert "no report" in capsys.readouterr().err
