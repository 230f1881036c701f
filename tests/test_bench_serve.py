"""Ratios of the service: what is claimed is what was measured, and the loads did their work."""

from pathlib import Path

import pytest

from evaluation.bench_serve import Claim, measure_all
from evaluation.recipe import EvalConfig
from pii.spans import Document, Span
from serving.extractor_config import ExtractorConfig


def test_a_claim_holds_on_its_side_of_the_bound() -> None:
    assert Claim(0.95, 0.9, at_least=True).as_json() == {"value": 0.95, "at least": 0.9, "holds": True}
    assert not Claim(0.85, 0.9, at_least=True).as_json()["holds"]
    assert Claim(0.05, 0.1, at_least=False).as_json() == {"value": 0.05, "at most": 0.1, "holds": True}
    assert not Claim(0.2, 0.1, at_least=False).as_json()["holds"]
    assert Claim(0.85).as_json() == {"value": 0.85}


@pytest.mark.slow
def test_every_ratio_is_measured() -> None:
    # The shipped model: an untrained one writes nothing alike with its grammar and without.
    extractor = ExtractorConfig(model=Path("models/mini"), engine="transformers", max_new_tokens=16)
    documents = [
        Document(f"我叫张三，电话1380013800{n}", (Span(2, 4, "PERSON_NAME"), Span(7, 18, "PHONE_NUMBER")))
        for n in range(3)
    ]
    config = EvalConfig.model_construct(extractor=extractor)
    report = measure_all(config, documents, requests=40, rounds=1)
    assert report["engine"].startswith("transformers ")
    for name in ("throughput_of_engine", "throughput_of_drafted_engine"):
        assert 0 < report[name]["value"] < 3
        assert report[f"{name}_by_the_clock"]["value"] > 0
    assert "holds" in report["throughput_of_engine"]
    assert -1 < report["grammar_share"]["value"] < 1
    assert report["times_the_usual_loop"]["value"] > 0
    assert report["p50_overhead_over_drafted_ms"]["value"] > 0
    assert set(report["processor_ms"]) == {"http", "prompts", "drafted", "loop", "client"}
    assert min(report["processor_ms"].values()) > 0
