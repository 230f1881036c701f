"""The report says what a reader needs to believe it, and the command ends with the right code."""

import json

import pytest

from evaluation import markdown, report, run
from pii.taxonomy import shipped

ESTIMATE = {"value": 0.8312, "low": 0.79, "high": 0.8641}


def test_percent_and_plain():
    assert markdown.percent(ESTIMATE) == "83.1 [79.0, 86.4]"
    assert markdown.percent(ESTIMATE, interval=False) == "83.1"
    assert markdown.percent({"value": None, "low": None, "high": None}) == "–"
    assert markdown.percent(None) == "–"
    assert markdown.plain({"value": 1.234, "low": None, "high": None}) == "1.23"


def test_cells_cannot_break_a_table():
    lines = markdown.table(["a", "b"], [["x|y\nz", 1]])
    assert len(lines) == 3
    assert "x\\|y z" in lines[2]
    assert len({len(line) for line in lines}) == 1


@pytest.fixture
def patterns_run(tmp_path):
    """A real run of the whole command: the patterns of the product over three documents."""
    rows = [
        {"id": "1", "language": "zh", "source": "own", "text": "我叫张三，电话13800138000",
         "entities": [{"type": "PERSON_NAME", "start": 2, "end": 4, "value": "张三"},
                      {"type": "PHONE_NUMBER", "start": 7, "end": 18, "value": "13800138000"}]},
        {"id": "2", "language": "en", "source": "own", "text": "Mail ann@example.org today",
         "entities": [{"type": "EMAIL_ADDRESS", "start": 5, "end": 20, "value": "ann@example.org"}]},
        {"id": "3", "language": "en", "source": "own", "text": "It rains."},
        {"id": "4", "language": "en", "source": "own", "text": "broken", "entities": 1},
    ]  # fmt: skip
    gold = tmp_path / "test.jsonl"
    gold.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    config = tmp_path / "eval.yaml"
    config.write_text(
        json.dumps(
            {
                "output": str(tmp_path / "eval"),
                "splits": {"test": {"file": str(gold)}},
                "extractor": {"detectors": "patterns"},
                "num_resamples": 100,
            }
        )
    )
    return config


def test_the_command_writes_a_report_and_prints_a_table(patterns_run, tmp_path, capsys):
    assert run.main(["--config", str(patterns_run)]) == 0
    shown = capsys.readouterr().out
    assert "strict F1" in shown
    made = json.loads((tmp_path / "eval" / "report.json").read_text(encoding="utf-8"))
    assert made["schema_version"] == report.SCHEMA_VERSION
    assert made["made"]["engine"]
    assert made["made"]["seconds"] > 0
    split = made["splits"]["test"]
    assert (split["num_documents"], split["num_refused"]) == (3, 1)
    found = split["systems"]["patterns"]["by_type"]
    assert found["PHONE_NUMBER"]["recall"]["value"] == 1
    assert found["EMAIL_ADDRESS"]["recall"]["value"] == 1
    assert set(found) <= {t.name for t in shipped()}


def test_the_page_is_honest_about_a_small_sample(patterns_run, tmp_path):
    run.main(["--config", str(patterns_run)])
    page = (tmp_path / "eval" / "report.md").read_text(encoding="utf-8")
    assert "only 3 documents" in page
    assert "1 rows of gold were refused" in page
    assert "Patterns alone, without a model" in page
    for value in ("张三", "13800138000", "ann@example.org"):
        assert value not in page


def test_a_threshold_that_does_not_hold_ends_with_exit_code_1(patterns_run):
    threshold = '[{"metric": "splits.test.systems.patterns.strict.recall", "min": 1.1}]'
    assert run.main(["--config", str(patterns_run), "--set", f"thresholds={threshold}"]) == 1
    # The report is up to date now, and still does not pass.
    assert run.main(["--config", str(patterns_run), "--set", f"thresholds={threshold}"]) == 1


def test_a_missing_model_ends_with_exit_code_2(patterns_run, tmp_path, capsys):
    missing = tmp_path / "no-model"
    arguments = ["--config", str(patterns_run), "--set", "extractor.detectors=merged"]
    assert run.main([*arguments, "--set", f"extractor.model={missing}"]) == 2
    assert "no such model folder" in capsys.readouterr().err


def test_an_unknown_key_ends_with_exit_code_2(patterns_run, capsys):
    assert run.main(["--config", str(patterns_run), "--set", "extractor.modle=x"]) == 2
    assert "extractor.modle: unknown key" in capsys.readouterr().err


def test_numbers_that_seqeval_does_not_confirm_fail_the_run(patterns_run, monkeypatch, caplog):
    from evaluation import crosscheck

    monkeypatch.setattr(crosscheck, "by_seqeval", lambda *_: {"precision": 0.1, "recall": 0.1, "f1": 0.1})
    assert run.main(["--config", str(patterns_run)]) == 1
    assert "seqeval does not confirm" in caplog.text


def test_a_labelled_file_of_ones_own_is_measured_with_its_card(patterns_run, tmp_path, capsys):
    rows = [{"text": "Mail ann@example.org", "entities": [{"type": "EMAIL_ADDRESS", "start": 5, "end": 20}]}]
    mine = tmp_path / "mine.jsonl"
    mine.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run.main(["data", str(mine), "--card", "jsonl", "--config", str(patterns_run)]) == 0
    assert "mine, patterns" in capsys.readouterr().out
    made = json.loads((tmp_path / "eval-mine" / "report.json").read_text(encoding="utf-8"))
    assert made["splits"]["mine"]["systems"]["patterns"]["strict"]["f1"]["value"] == 1
    assert made["splits"]["mine"]["source"]["licence"] == "own"
