"""`pii eval` from files to report with a fake detector: what it writes, keeps, refuses and says."""

import json
import re

import pytest

from configs.errors import ConfigError, StageError
from configs.reader import parse
from evaluation import asking, measure, predictions, provenance, report
from evaluation.recipe import EvalConfig, FreeConfig
from pii.spans import Span
from serving.answer_facts import AnswerFacts
from serving.extraction import Extraction

SECRET = "Zacharias"


class Fake:
    """Finds the secret with the model and every run of digits with the patterns."""

    engine = "fake engine 1.0, cpu, float32"

    def __init__(self, known=("PERSON_NAME", "PHONE_NUMBER")):
        self.known, self.asked, self.closed = known, [], False

    def types_of(self, detectors=None):
        return self.known

    def check_text(self, text):
        return text

    def extract_all(self, texts, types=None, detectors=None):
        for text in texts:
            self.asked.append((types and tuple(types), detectors))
            names = tuple(
                Span(m.start(), m.end(), "PERSON_NAME", score=0.9) for m in re.finditer(SECRET, text)
            )
            phones = tuple(Span(m.start(), m.end(), "PHONE_NUMBER") for m in re.finditer(r"\d+", text))
            if types is not None:
                phones = tuple(s for s in phones if s.type in types)
            yield Extraction(
                spans=tuple(sorted(names + phones)),
                model_spans=names,
                pattern_spans=phones,
                tagger_spans=names[:1],
                truncated=((0, 2),) if text.startswith("long") else (),
                num_windows=1,
                num_ungrounded=1,
                answers=(
                    AnswerFacts(True, True, "", 12, num_prompt_tokens=40, num_values=3, num_out_of_order=1),
                    AnswerFacts(False, False, "truncated", 20, True, num_prompt_tokens=44, is_loop=True),
                ),
            )

    def close(self):
        self.closed = True


def labelled(text, *entities, **more):
    return {
        "id": "d",
        "source": "own",
        "language": "en",
        "text": text,
        "entities": [{"type": t, "start": s, "end": e, "value": text[s:e]} for s, e, t in entities],
        **more,
    }


ROWS = [
    labelled(f"I am {SECRET}, 5551234", (5, 14, "PERSON_NAME"), (16, 23, "PHONE_NUMBER")),
    labelled(f"{SECRET} lives", (0, 9, "PERSON_NAME"), types=["PERSON_NAME"]),
    labelled("order 77 is late"),
    labelled("long ago"),
]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def config(tmp_path):
    write(tmp_path / "test.jsonl", ROWS)
    return recipe(tmp_path)


def recipe(tmp_path, **more):
    values = {
        "output": str(tmp_path / "eval"),
        "splits": {
            "test": {"file": str(tmp_path / "test.jsonl")},
            "foreign": {"file": str(tmp_path / "foreign.jsonl"), "required": False},
        },
        # No model folder: the detector is a fake. What needs one is tested with a real one elsewhere.
        "extractor": {"detectors": "merged"},
        "num_resamples": 50,
        **more,
    }
    return parse(values, EvalConfig, "test")


@pytest.fixture(autouse=True)
def _no_model_folder(monkeypatch):
    facts = {
        "folder": "runs/x/model", "base_model": "config", "base_revision": "", "method": "full",
        "num_parameters": 1234, "data_identity": "abc", "window_chars": 512, "window_margin": 64,
        "answer_style": "value", "hash": "m1",
    }  # fmt: skip
    monkeypatch.setattr(provenance, "model_facts", lambda folder: facts)


def evaluate(config, fake=None):
    return measure.evaluate(config, lambda: fake or Fake())


def test_all_systems_from_one_pass(config):
    fake = Fake()
    made = evaluate(config, fake)
    assert len(fake.asked) == len(ROWS)
    assert fake.closed
    systems = made["splits"]["test"]["systems"]
    assert list(systems) == ["merged", "model", "patterns", "tagger"]
    counts = {name: part["strict"]["counts"] for name, part in systems.items()}
    assert counts["merged"] == {"correct": 3, "partial": 0, "incorrect": 0, "missed": 0, "spurious": 1}
    assert counts["model"]["correct"] == 2
    assert counts["patterns"]["correct"] == 1
    assert all(part["crosscheck"]["agrees"] for part in systems.values())


def test_only_the_labelled_types_are_asked_for(config):
    fake = Fake()
    evaluate(config, fake)
    assert sorted(fake.asked, key=str) == [(("PERSON_NAME",), "merged"), *[(None, "merged")] * 3]


def test_what_the_detector_cannot_say_is_missed_and_not_an_error(tmp_path):
    write(tmp_path / "test.jsonl", [labelled("in Rome", (3, 7, "LOCATION"), types=["LOCATION"])])
    fake = Fake()
    made = evaluate(recipe(tmp_path), fake)
    assert fake.asked == []
    merged = made["splits"]["test"]["systems"]["merged"]
    assert merged["strict"]["counts"]["missed"] == 1
    assert merged["unsupported"] == {"LOCATION": 1}
    assert any("does not know LOCATION (1)" in note for note in made["notes"])


def test_answers_truncation_and_grounding_are_counted(config):
    answers = evaluate(config)["splits"]["test"]["answers"]
    assert answers == {
        "num_answers": 4, "num_asked_again": 4, "valid_json": 1.0, "valid_schema": 1.0, "problems": {},
        "num_tokens": 128, "prompt_tokens_per_request": 42.0, "answer_tokens_per_request": 16.0,
        "num_values": 12, "num_ungrounded": 4, "num_out_of_order": 4, "num_loops": 4, "num_wrong_offsets": 0,
        "num_truncated_places": 1, "num_truncated_chars": 2,
    }  # fmt: skip


def test_the_grammar_is_measured_on_the_same_documents_with_and_without(config):
    class Free(Fake):
        def extract_all(self, texts, types=None, detectors=None):
            for text in texts:
                self.asked.append((text, detectors))
                yield Extraction(num_ungrounded=2, answers=(AnswerFacts(False, False, "not_json", 30),))

    free = Free()
    config = config.model_copy(update={"without_grammar": FreeConfig(max_documents=3)})
    made = measure.evaluate(config, Fake, lambda: free)
    compared = made["without_grammar"]
    assert compared["num_documents"] == len(free.asked) == 3
    assert {detectors for _, detectors in free.asked} == {"model"}
    assert free.closed
    assert (compared["grammar"]["valid_json"], compared["free"]["valid_json"]) == (1.0, 0.0)
    assert (compared["grammar"]["num_ungrounded"], compared["free"]["num_ungrounded"]) == (3, 6)
    assert compared["grammar"]["strict_f1"] > compared["free"]["strict_f1"] == 0
    assert "With and without the grammar" in (config.output / "report.md").read_text(encoding="utf-8")
    assert "With and without the grammar" in (config.output / "report.html").read_text(encoding="utf-8")
    # A changed scorer asks neither again.
    other = config.model_copy(update={"iou_thresholds": (0.3,)})
    nobody = lambda: pytest.fail("opened again")  # noqa: E731
    assert measure.evaluate(other, nobody, nobody)["without_grammar"] == compared


@pytest.mark.parametrize("changed", [{"without_grammar": None}, {"extractor": {"grounded": False}}])
def test_there_is_nothing_to_compare_without_a_grammar(tmp_path, changed):
    write(tmp_path / "test.jsonl", ROWS)
    config = recipe(tmp_path, **changed)
    made = measure.evaluate(config, Fake, lambda: pytest.fail("opened"))
    assert made["without_grammar"] is None


def test_patterns_alone_need_no_model_and_report_one_system(tmp_path):
    write(tmp_path / "test.jsonl", ROWS)
    made = evaluate(recipe(tmp_path, extractor={"detectors": "patterns", "model": None}))
    assert made["model"] is None
    assert list(made["splits"]["test"]["systems"]) == ["patterns"]


def test_the_files_hold_no_text(config, caplog, capfd):
    rows = [*ROWS, labelled(f"bad {SECRET}", (0, 99, "PERSON_NAME"))]
    write(config.splits["test"].file, rows)
    made = evaluate(config)
    assert made["splits"]["test"]["num_refused"] == 1
    for path in config.output.iterdir():
        assert SECRET not in path.read_text(encoding="utf-8"), path.name
        assert "5551234" not in path.read_text(encoding="utf-8"), path.name
    written = capfd.readouterr()
    assert SECRET not in caplog.text + written.out + written.err
    refused = json.loads((config.output / "refused.jsonl").read_text(encoding="utf-8"))
    assert (refused["source"], refused["file"], refused["line"]) == ("test", "test.jsonl", 5)


def test_the_same_measurement_is_not_made_twice(config):
    first = evaluate(config)
    assert measure.evaluate(config, lambda: pytest.fail("the detector was opened again")) == first


def test_a_changed_scorer_costs_no_new_run(config, monkeypatch):
    first = evaluate(config)
    hashes = {("evaluation",): "new scorer"}
    real = provenance.code_hash
    monkeypatch.setattr(provenance, "code_hash", lambda *rooms: hashes.get(rooms) or real(*rooms))
    again = measure.evaluate(config, lambda: pytest.fail("the detector was opened again"))
    assert again["made"]["at"] == first["made"]["at"]
    other = config.model_copy(update={"iou_thresholds": (0.3,)})
    again = measure.evaluate(other, lambda: pytest.fail("the detector was opened again"))
    assert "iou_0.30" in again["splits"]["test"]["systems"]["merged"]


@pytest.mark.parametrize("what", ["data", "sample", "detector", "settings", "model"])
def test_whatever_changes_a_prediction_makes_it_anew(config, monkeypatch, what):
    evaluate(config)
    real = provenance.code_hash
    if what == "data":
        write(config.splits["test"].file, ROWS[:3])
    elif what == "sample":
        config = config.model_copy(update={"max_documents": 2})
    elif what == "detector":
        monkeypatch.setattr(
            provenance, "code_hash", lambda *rooms: "other" if "serving" in rooms else real(*rooms)
        )
    elif what == "settings":
        extractor = config.extractor.model_copy(update={"max_new_tokens": 99})
        config = config.model_copy(update={"extractor": extractor})
    else:
        facts = provenance.model_facts(None) | {"hash": "m2"}
        monkeypatch.setattr(provenance, "model_facts", lambda folder: facts)
    fake = Fake()
    evaluate(config, fake)
    assert fake.asked


def test_damaged_predictions_are_made_again(config, monkeypatch):
    evaluate(config)
    (config.output / "manifest.json").unlink()
    path = config.output / predictions.FILE
    path.write_text(path.read_text(encoding="utf-8").replace("PERSON_NAME", "USERNAME"), encoding="utf-8")
    fake = Fake()
    evaluate(config, fake)
    assert fake.asked


def test_predictions_survive_the_disk(config):
    evaluate(config)
    kept = predictions.load(config.output)
    assert kept is not None
    assert [json.loads(json.dumps(p.as_row())) for p in kept.predictions] == [
        p.as_row() for p in kept.predictions
    ]
    first = next(p for p in kept.predictions if p.row == 1)
    assert first.spans["merged"] == (Span(5, 14, "PERSON_NAME"), Span(16, 23, "PHONE_NUMBER"))
    assert first.spans["merged"][0].score == 0.9
    assert first.answers[1].asked_again


def test_a_detector_that_fails_leaves_no_report(config):
    class Failing(Fake):
        def extract_all(self, texts, types=None, detectors=None):
            raise RuntimeError("engine gone")

    fake = Failing()
    with pytest.raises(RuntimeError, match="engine gone"):
        evaluate(config, fake)
    assert fake.closed
    assert not (config.output / "report.json").exists()
    assert not (config.output / "manifest.json").exists()
    assert evaluate(config)["splits"]["test"]["num_documents"] == len(ROWS)


def test_own_and_foreign_stand_side_by_side(config, tmp_path):
    assert evaluate(config)["absent_splits"] == ["foreign"]
    write(
        tmp_path / "foreign.jsonl",
        [labelled("Ann and 5551234", (0, 3, "PERSON_NAME"), (8, 15, "PHONE_NUMBER"))],
    )
    made = evaluate(config)
    assert made["absent_splits"] == []
    gap = next(g for g in made["gaps"] if g["system"] == "merged")
    own, foreign = (
        made["splits"][n]["systems"]["merged"]["strict"]["f1"]["value"] for n in ("test", "foreign")
    )
    assert gap["strict_f1"] == pytest.approx(own - foreign, abs=1e-4)
    for page in ("report.md", "report.html"):
        text = (config.output / page).read_text(encoding="utf-8")
        assert "Gap from" in text
    assert "generalisation gap" in text


@pytest.mark.parametrize(
    ("own", "foreign", "wanted"),
    [
        # By hand: 0.9 - 0.7 = 0.2; below hypot(0.1, 0.1), above hypot(0.05, 0.1).
        ((0.9, 0.8, 0.95), (0.7, 0.6, 0.8), (0.2, 0.0586, 0.3118)),
        ((0.7, 0.6, 0.8), (0.9, 0.8, 0.95), (-0.2, -0.3118, -0.0586)),
        ((0.9, None, None), (0.7, 0.6, 0.8), (0.2, None, None)),
    ],
)
def test_the_gap_has_an_interval_of_its_own(own, foreign, wanted):
    rates = [dict(zip(("value", "low", "high"), numbers, strict=True)) for numbers in (own, foreign)]
    splits = {
        name: {"systems": {"merged": {"strict": {"f1": rate}}}}
        for name, rate in zip(("test", "foreign"), rates, strict=True)
    }
    (gap,) = report.gaps({"splits": splits})
    assert (gap["strict_f1"], gap["low"], gap["high"]) == wanted


def test_a_required_file_that_is_missing_is_one_clear_line(config):
    config.splits["test"].file.unlink()
    with pytest.raises(StageError, match=r"test\.jsonl: no such file"):
        evaluate(config)


def test_a_file_without_a_document_that_can_be_scored(config):
    config.splits["test"].file.write_text("not JSON\n", encoding="utf-8")
    with pytest.raises(StageError, match=r"no document that can be scored \(1 refused"):
        evaluate(config)


def test_a_text_longer_than_the_extractor_takes_is_refused_by_line(tmp_path):
    write(tmp_path / "test.jsonl", ROWS)
    made = evaluate(recipe(tmp_path, extractor={"max_text_chars": 20}))
    assert made["splits"]["test"]["num_refused"] == 1
    assert made["splits"]["test"]["num_documents"] == 3


def test_the_time_budget_leaves_an_even_sample_and_says_so(tmp_path, monkeypatch):
    write(tmp_path / "test.jsonl", [labelled(f"row {i}") for i in range(150)])
    write(tmp_path / "foreign.jsonl", [labelled(f"row {i}") for i in range(150)])
    monkeypatch.setattr(asking.time, "monotonic", iter(range(0, 10_000, 40)).__next__)
    made = evaluate(recipe(tmp_path, max_minutes=1.0))
    assert made["made"]["stopped_early"]
    asked = [made["splits"][name]["num_documents"] for name in ("test", "foreign")]
    assert asked == [30, 30]  # two rounds
    assert sum("time budget ended the run after 30 of the 150" in note for note in made["notes"]) == 2
    rows = [p.row for p in predictions.load(tmp_path / "eval").predictions if p.split == "test"]
    assert min(rows) <= 40
    assert max(rows) >= 110  # drawn from all over the file


class TestThresholds:
    METRIC = "splits.test.systems.merged.strict.f1"

    def judged(self, config, **threshold):
        changed = config.model_copy(update={"thresholds": (threshold_of(**threshold),)})
        made = evaluate(changed)
        return made["thresholds"][0]["holds"], report.failures(made)

    def test_reached(self, config):
        assert self.judged(config, metric=self.METRIC, min=0.5) == (True, [])

    def test_missed(self, config):
        holds, failed = self.judged(config, metric=self.METRIC, min=0.99)
        assert not holds
        assert len(failed) == 1

    def test_upper_bound(self, config):
        metric = "splits.test.systems.merged.leakage.all.characters"
        assert self.judged(config, metric=metric, max=0.0)[0]
        assert not self.judged(config, metric=metric.replace("merged", "patterns"), max=0.1)[0]

    def test_a_name_with_a_dot(self, config):
        assert self.judged(config, metric="splits.test.systems.merged.iou_0.50.f1", min=0.1)[0]

    def test_a_number_that_is_not_defined_holds_no_threshold(self, config):
        write(config.splits["test"].file, [labelled("nothing here")])
        assert not self.judged(config, metric=self.METRIC, min=0.0)[0]

    @pytest.mark.parametrize(
        "metric", ["splits.test.f2", "splits", "detectors", "splits.test.num_documents.x"]
    )
    def test_a_path_that_names_no_number(self, config, metric):
        with pytest.raises(ConfigError, match="thresholds"):
            self.judged(config, metric=metric, min=0.1)


def threshold_of(**values):
    from evaluation.recipe import ThresholdConfig

    return ThresholdConfig(**values)
