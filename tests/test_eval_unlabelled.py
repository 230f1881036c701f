"""Agreement without gold: the estimates are right where their assumptions hold, and say what they rest on."""

import json
import random

import numpy as np
import pytest

from configs.reader import parse
from evaluation import agreement, run, unlabelled
from evaluation.agreement import Mention
from evaluation.recipe import EvalConfig
from pii.spans import Span
from serving.extraction import Extraction

SECRET = "Zacharias"


def drawn(recalls, alarms, num_documents, seed):
    """Documents with entities that detectors find independently, and false alarms that never coincide."""
    generator = random.Random(seed)
    documents, num_entities = [], 0
    for _ in range(num_documents):
        found = {f"d{i}": [] for i in range(len(recalls))}
        place = 0
        for _ in range(generator.randint(0, 8)):
            num_entities += 1
            for name, recall in zip(found, recalls, strict=True):
                if generator.random() < recall:
                    found[name].append(Span(place, place + 5, "PERSON_NAME"))
            place += 10
        for name, most in zip(found, alarms, strict=True):
            for _ in range(generator.randint(0, most)):
                found[name].append(Span(place, place + 5, "PERSON_NAME"))
                place += 10
        documents.append(agreement.mentions(found))
    return documents, num_entities


def summary(documents, names, num_resamples=200):
    made, _ = agreement.groups(documents, {name: ["PERSON_NAME"] for name in names})
    return agreement.summary(made, num_resamples, seed=0)


def test_three_detectors_tell_recall_precision_and_the_number_of_entities():
    recalls = (0.9, 0.7, 0.5)
    documents, num_entities = drawn(recalls, (1, 3, 0), 1500, seed=3)
    made = summary(documents, ["d0", "d1", "d2"])
    assert made["entities"]["value"] == pytest.approx(num_entities, rel=0.05)
    for name, recall in zip(("d0", "d1", "d2"), recalls, strict=True):
        part = made["detectors"][name]
        right = sum(name in m.found_by for d in documents for m in d if len(m.found_by) > 1)
        assert part["agreed"]["value"] == pytest.approx(right / part["finds"], abs=1e-4)
        assert part["recall"]["value"] == pytest.approx(recall, abs=0.04)
        truth = recall * num_entities / part["finds"]
        assert part["precision"]["value"] == pytest.approx(min(1, truth), abs=0.04)
    assert made["missed_by_all"]["value"] == pytest.approx(0.1 * 0.3 * 0.5 * num_entities, rel=0.25)


def test_two_detectors_tell_recall_and_no_precision():
    """Lincoln-Petersen by hand: 6 in common, 10 and 8 found: 13.3 there are, 60 and 75 per cent are found."""
    both = [Mention(Span(0, 1, "PERSON_NAME"), ("d0", "d1"))] * 6
    documents = [both + [Mention(Span(0, 1, "PERSON_NAME"), ("d0",))] * 4]
    documents.append([Mention(Span(0, 1, "PERSON_NAME"), ("d1",))] * 2)
    made = summary(documents, ["d0", "d1"])
    assert made["entities"]["value"] == pytest.approx(10 * 8 / 6, abs=1e-3)
    assert made["detectors"]["d0"]["recall"]["value"] == pytest.approx(6 / 8)
    assert made["detectors"]["d1"]["recall"]["value"] == pytest.approx(6 / 10)
    assert made["detectors"]["d0"]["precision"]["value"] is None
    assert made["detectors"]["d0"]["agreed"]["value"] == pytest.approx(0.6)
    assert made["entities"]["low"] is None  # two documents give no interval


def test_intervals_cover_the_truth():
    """Of 40 draws the 95 % interval of recall misses the truth in a few at most."""
    missed = 0
    for seed in range(40):
        documents, _ = drawn((0.8, 0.6, 0.7), (1, 1, 1), 120, seed)
        part = summary(documents, ["d0", "d1", "d2"], 100)["detectors"]["d0"]["recall"]
        missed += not part["low"] <= 0.8 <= part["high"]
    assert missed <= 7


def test_detectors_that_never_agree_give_no_estimate():
    documents = [[Mention(Span(0, 1, "PERSON_NAME"), (name,))] for name in ("d0", "d1", "d2") * 10]
    made = summary(documents, ["d0", "d1", "d2"])
    assert made["detectors"] == {}
    assert made["types_left_out"] == ["PERSON_NAME"]
    assert made["entities"] == {"value": None, "low": None, "high": None}


def test_types_are_grouped_by_who_knows_them():
    documents = [[Mention(Span(0, 1, "URL"), ("a",)), Mention(Span(2, 3, "USERNAME"), ("a", "b"))]]
    made, alone = agreement.groups(documents, {"a": ["USERNAME", "URL"], "b": ["USERNAME"]})
    assert [(g.detectors, g.types) for g in made] == [(("a", "b"), ("USERNAME",))]
    assert np.array_equal(made[0].found, [[0, 0, 0, 1]])
    assert alone == {"URL": 1}


def test_finds_that_overlap_are_one_mention_and_neighbours_are_two():
    found = {
        "a": [Span(0, 5, "PERSON_NAME"), Span(5, 8, "PERSON_NAME"), Span(0, 5, "USERNAME")],
        "b": [Span(3, 5, "PERSON_NAME")],
    }
    assert agreement.mentions(found) == [
        Mention(Span(0, 5, "PERSON_NAME"), ("a", "b")),
        Mention(Span(5, 8, "PERSON_NAME"), ("a",)),
        Mention(Span(0, 5, "USERNAME"), ("a",)),
    ]


def test_a_lone_find_is_as_likely_as_its_detector_is_careful():
    documents, _ = drawn((0.9, 0.8, 0.7), (0, 5, 0), 400, seed=1)
    made, _ = agreement.groups(documents, {name: ["PERSON_NAME"] for name in ("d0", "d1", "d2")})
    chances = agreement.chances(made[0])
    assert chances["d0", "d1"] == 1
    assert chances["d1",] < 0.2 < 0.6 < chances["d0",]


# --- the command ------------------------------------------------------------------------------------


class Two:
    """A model that finds every secret, patterns that find every second one and one thing more."""

    engine = "fake"

    def types_of(self, detectors=None):
        return ("PERSON_NAME", "ORGANIZATION")

    def extract_all(self, texts, types=None, detectors=None):
        for text in texts:
            name = Span(5, 14, "PERSON_NAME")
            more = Span(0, 4, "PERSON_NAME")
            yield Extraction(
                spans=(more, name), model_spans=(name,), pattern_spans=(name,) if "even" in text else (more,)
            )

    def close(self):
        pass


@pytest.fixture
def notes(tmp_path):
    texts = [f"this {SECRET} {'even' if i % 2 else 'odd'} {i}" for i in range(30)]
    (tmp_path / "notes.jsonl").write_text(
        "".join(json.dumps({"id": str(i), "text": text}) + "\n" for i, text in enumerate(texts))
    )
    values = {
        "output": str(tmp_path / "out"),
        "splits": {unlabelled.SPLIT: {"file": str(tmp_path / "notes.jsonl")}},
        "extractor": {"detectors": "merged"},
        "num_resamples": 50,
    }
    return parse(values, EvalConfig, "test")


@pytest.fixture(autouse=True)
def _no_model_folder(monkeypatch):
    monkeypatch.setattr("evaluation.provenance.model_facts", lambda folder: {"hash": "m1"})


def test_model_and_patterns_are_two_detectors_and_their_merge_is_none(notes):
    made = unlabelled.run(notes, Two, with_text=False)
    assert list(made["estimate"]["detectors"]) == ["model", "patterns"]
    assert made["known_types"] == {"model": ["PERSON_NAME"], "patterns": ["PERSON_NAME"]}  # default types
    assert made["pairs"] == [
        {"a": "model", "b": "patterns", "num_common_types": 1, "both": 15, "only_a": 15, "only_b": 15}
    ]
    assert made["estimate"]["detectors"]["patterns"]["recall"]["value"] == pytest.approx(0.5)
    assert "These are estimates" in (notes.output / "agreement.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("with_text", [False, True])
def test_the_review_list_shows_text_only_where_it_is_asked_for(notes, with_text):
    unlabelled.run(notes, Two, with_text=with_text)
    places = [json.loads(line) for line in (notes.output / "review.jsonl").read_text().splitlines()]
    assert len(places) == 30
    assert {tuple(p["found_by"]) for p in places} == {("model",), ("patterns",)}
    assert all(set(p["found_by"]).isdisjoint(p["not_by"]) for p in places)
    files = {p.name: p.read_text(encoding="utf-8") for p in notes.output.rglob("*") if p.is_file()}
    assert [name for name, text in files.items() if SECRET in text] == (["review.jsonl"] if with_text else [])


def test_one_detector_cannot_agree(tmp_path, capsys):
    (tmp_path / "notes.jsonl").write_text('{"text": "it rains"}\n')
    (tmp_path / "eval.yaml").write_text(
        json.dumps({
            "output": str(tmp_path / "out"), "splits": {"test": {"file": "unused"}},
            "extractor": {"detectors": "patterns", "model": None},
        })
    )  # fmt: skip
    words = ["unlabelled", str(tmp_path / "notes.jsonl"), "--config", str(tmp_path / "eval.yaml")]
    assert run.main(words) == 2
    assert "agreement needs two detectors" in capsys.readouterr().err
