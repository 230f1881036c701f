"""A model's card claims what was measured; a later measurement that falls under it fails."""

import json
import re

import pytest

from configs.errors import StageError
from configs.reader import parse
from evaluation import claims, measure, provenance, report
from evaluation.recipe import EvalConfig
from pii import codec
from pii.model_folder import ModelManifest, read_manifest, write_manifest
from pii.spans import Span
from serving.extraction import Extraction

F1 = "splits.test.systems.merged.strict.f1"


class Detector:
    """Finds the names, but for the first `num_blind` that it meets."""

    engine = "fake engine"

    def __init__(self, num_blind=0):
        self.num_blind = num_blind

    def types_of(self, detectors=None):
        return ("PERSON_NAME",)

    def extract_all(self, texts, types=None, detectors=None):
        for text in texts:
            spans = tuple(Span(*m.span(), "PERSON_NAME") for m in re.finditer("Ann", text))
            if spans and self.num_blind:
                self.num_blind, spans = self.num_blind - 1, ()
            yield Extraction(spans=spans, model_spans=spans)

    def close(self):
        pass


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "model"
    made.mkdir()
    (made / "model.safetensors").write_bytes(b"weights")
    manifest = ModelManifest(
        codec_version=codec.VERSION, codec_fingerprint=codec.fingerprint(), answer_style="value",
        entity_types=("PERSON_NAME",), context_tokens=512, window_chars=200, window_margin=20,
        base_model="config", method="full", hyperparameters={}, data_identity="d", data_sources={},
        num_parameters=10, training={}, versions={},
    )  # fmt: skip
    write_manifest(made, manifest)
    return made


@pytest.fixture
def config(tmp_path, folder):
    rows = [
        {"id": str(i), "language": "en", "text": f"Ann {i} was here",
         "entities": [{"type": "PERSON_NAME", "start": 0, "end": 3}]}
        for i in range(40)
    ]  # fmt: skip
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    values = {
        "output": str(tmp_path / "eval"),
        "splits": {"test": {"file": str(tmp_path / "test.jsonl")}},
        "extractor": {"model": str(folder)},
        "num_resamples": 200,
    }
    return parse(values, EvalConfig, "test")


def evaluate(config, num_blind=0):
    (config.output / "predictions.meta.json").unlink(missing_ok=True)
    (config.output / "manifest.json").unlink(missing_ok=True)
    return measure.evaluate(config, lambda: Detector(num_blind))


def test_what_is_recorded_is_the_end_of_the_interval(config, folder):
    made = evaluate(config, num_blind=4)
    claims.record(folder, made)
    claimed = read_manifest(folder).evaluation["claims"]
    f1 = made["splits"]["test"]["systems"]["merged"]["strict"]["f1"]
    assert claimed[F1] == {"value": f1["value"], "min": f1["low"], "data": made["splits"]["test"]["sha256"]}
    assert claimed["splits.test.systems.merged.leakage.all.characters"]["max"] > 0.1
    assert f"claims.{F1}.min" in (folder / "README.md").read_text(encoding="utf-8")


def test_a_measurement_that_falls_under_the_card_fails(config, folder):
    claims.record(folder, evaluate(config, num_blind=4))
    again = evaluate(config, num_blind=4)
    assert {claim["holds"] for claim in again["claims"]} == {True}
    assert report.failures(again) == []
    worse = evaluate(config, num_blind=20)
    assert any(f"the card claims {F1}" in reason for reason in report.failures(worse))
    page = (config.output / "report.md").read_text(encoding="utf-8")
    assert re.search(rf"{re.escape(F1)} .* NO \|", page)


def test_claims_say_nothing_of_other_documents(config, folder):
    claims.record(folder, evaluate(config))
    file = config.splits["test"].file
    file.write_text(file.read_text().replace("here", "there"))
    made = evaluate(config, num_blind=30)
    assert {claim["holds"] for claim in made["claims"]} == {None}
    assert report.failures(made) == []
    assert any("claims of the card rest on other documents" in note for note in made["notes"])


def test_recording_does_not_make_another_model(config, folder):
    before = provenance.model_hash(folder)
    claims.record(folder, evaluate(config))
    assert provenance.model_hash(folder) == before
    (folder / "model.safetensors").write_bytes(b"other weights")
    assert provenance.model_hash(folder) != before


def test_recorded_claims_are_judged_without_asking_again(config, folder):
    claims.record(folder, evaluate(config))
    made = measure.evaluate(config, lambda: pytest.fail("the detector was opened again"))
    assert made["claims"]


def test_too_few_documents_support_no_claim(config, folder):
    file = config.splits["test"].file
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:5]))
    with pytest.raises(StageError, match="nothing to record"):
        claims.record(folder, evaluate(config, num_blind=2))
