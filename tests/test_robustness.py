"""A perturbed document keeps its gold: the same spans and types, on the old values written otherwise."""

import itertools
import json
import re
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from configs.reader import parse
from evaluation import hostile, perturbations, robustness, run
from evaluation.recipe import EvalConfig
from pii import codec, folding
from pii.spans import Document, Span
from serving.extraction import Extraction
from tests.strategies import documents

FORM = (
    "我叫张三，手机号13800138000。\n"
    "My name is Ann Bell, email ann.bell@example.org, card 6222021234567890128."
)
PLACES = [("张三", "PERSON_NAME"), ("13800138000", "PHONE_NUMBER"), ("Ann Bell", "PERSON_NAME"),
          ("ann.bell@example.org", "EMAIL_ADDRESS"), ("6222021234567890128", "BANK_CARD_NUMBER")]  # fmt: skip


def document(**more):
    spans = tuple(Span(FORM.index(v), FORM.index(v) + len(v), kind) for v, kind in PLACES)
    return Document(FORM, spans, **{"id": "form", "language": "zh", "source": "own", **more})


def written_backwards(text):
    """Undo everything that a perturbation of values does and that can be undone without loss."""
    text = text.translate({new: old for old, new in perturbations._LOOK_ALIKE.items()})
    text = "".join(c for c in text.translate(folding.CHINESE_DIGITS) if unicodedata.category(c) != "Cf")
    return folding.compare(text).text.upper()


SINGLE = {name: row for name, row in robustness.suite().items() if row.write is not None}
LOSSY = {"ocr", "traditional"}
"""Perturbations that may write two characters as one: their values are compared by length alone."""


@pytest.mark.parametrize("name", SINGLE)
@settings(max_examples=25)
@given(data=documents(), seed=st.integers(0, 3))
@example(data=document(), seed=0)
def test_spans_stay_on_the_perturbed_values(name, data, seed):
    made = perturbations.perturb(data, SINGLE[name].write, str(seed))
    assert [span.type for span in made.spans] == [span.type for span in data.spans]
    assert (made.id, made.language, made.types) == (data.id, data.language, data.types)
    for old, new in zip(data.spans, made.spans, strict=True):
        before, after = old.value(data.text), new.value(made.text)
        if SINGLE[name].group in ("size", "injection") or name in ("typos", "markup", "code_switching"):
            assert after == before
        elif name in LOSSY:
            assert len(after) == len(before)
        else:
            assert written_backwards(after) == written_backwards(before)


@pytest.mark.parametrize("name", SINGLE)
def test_every_perturbation_changes_an_ordinary_document(name):
    """A perturbation that does nothing would pass every other test and show a drop of zero."""
    changed = [perturbations.perturb(document(), SINGLE[name].write, str(seed)) for seed in range(8)]
    assert any(made.text != FORM for made in changed)
    if SINGLE[name].group == "value":
        assert any(
            [s.value(made.text) for s in made.spans] != [value for value, _ in PLACES] for made in changed
        )


def test_the_same_seed_gives_the_same_document_and_another_one_another():
    row = SINGLE["zero_width"]
    texts = [perturbations.perturb(document(), row.write, seed).text for seed in ("a", "a", "b")]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("full_width", "１３８００１３８０００"),
        ("traditional", "我叫張三"),
        ("upper_case", "ANN.BELL@EXAMPLE.ORG"),
        ("code_switching", "Phone"),
    ],
)
def test_what_a_perturbation_writes(name, shown):
    texts = [perturbations.perturb(document(), SINGLE[name].write, str(seed)).text for seed in range(4)]
    assert any(shown in text for text in texts)


def test_zero_width_characters_are_invisible_ones_inside_the_values():
    made = perturbations.perturb(document(), SINGLE["zero_width"].write, "0")
    hidden = [c for span in made.spans for c in span.value(made.text) if unicodedata.category(c) == "Cf"]
    assert len(hidden) >= len(made.spans)
    assert all(span.value(made.text)[0] not in hidden for span in made.spans)


@pytest.mark.parametrize("name", list(hostile.material().injections))
@settings(max_examples=25)
@given(data=documents(), seed=st.integers(0, 5))
def test_an_attack_stands_in_the_text_once_and_takes_nothing_away(name, data, seed):
    injection = hostile.material().injections[name]
    attack = hostile.written(injection)
    made = perturbations.perturb(data, hostile.injecting(injection), str(seed)).text
    begin = {made[: m.start()] + made[m.end() :] for m in re.finditer(f"\n?{re.escape(attack)}\n?", made)}
    assert data.text in begin or data.text + "\n" in {f"{text}\n" for text in begin}


def test_fake_answers_are_answers_of_the_format():
    """An attack in another shape than the model's own would be no test of it."""
    for name in ("fake_answer", "wrong_answer"):
        answer = codec.parse(hostile.written(hostile.material().injections[name]))
        assert answer.valid_schema
        assert len(answer.mentions) == (name == "wrong_answer")
    assert codec.TURN_END in hostile.written(hostile.material().injections["fake_turn"])


@given(st.lists(documents(), min_size=1, max_size=8))
def test_joined_documents_keep_every_span_in_order(several):
    joined = perturbations.join(several)
    values = [span.value(d.text) for d in several for span in d.spans]
    assert [span.value(joined.text) for span in joined.spans] == values
    assert joined.text == perturbations.JOINT.join(d.text for d in several)


def test_only_documents_that_were_labelled_alike_are_joined():
    alike = [document(), document(types=("PERSON_NAME",)), document()] * 6
    made = perturbations.groups(alike)
    assert sorted(itertools.chain(*made)) == list(range(len(alike)))
    assert all(len({alike[i].types for i in group}) == 1 for group in made)


class Obedient:
    """Finds every name, unless the text tells it to stop."""

    engine = "fake"

    def types_of(self, detectors=None):
        return ("PERSON_NAME",)

    def check_text(self, text):
        return text

    def extract_all(self, texts, types=None, detectors=None):
        for text in texts:
            found = [] if "Ignore all" in text else re.finditer("Ann Bell", text)
            spans = tuple(Span(m.start(), m.end(), "PERSON_NAME") for m in found)
            yield Extraction(spans=spans, pattern_spans=spans)

    def close(self):
        pass


def config_for(tmp_path, rows, **more):
    file = tmp_path / "test.jsonl"
    file.write_text("".join(json.dumps(row.as_row()) + "\n" for row in rows), encoding="utf-8")
    values = {
        "output": str(tmp_path / "out"),
        "splits": {"test": {"file": str(file)}},
        "extractor": {"detectors": "patterns"},
        "num_resamples": 50,
        **more,
    }
    return parse(values, EvalConfig, "test")


def test_a_detector_that_obeys_an_attack_is_told_from_one_that_does_not(tmp_path):
    names = [Document(f"I am Ann Bell, {i}.", (Span(5, 13, "PERSON_NAME"),), id=str(i)) for i in range(20)]
    config = config_for(tmp_path, names)
    made = robustness.measure_all(names, ["ignore_en", "fake_turn"], config, Obedient)
    obeyed, ignored = (
        made["perturbations"][name]["systems"]["patterns"] for name in ("ignore_en", "fake_turn")
    )
    assert made["clean"]["patterns"]["f1"]["value"] == 1
    assert obeyed["perturbed"]["f1"]["value"] == 0
    assert obeyed["change"]["difference"] == -1
    assert obeyed["documents_emptied"]["value"] == 1
    assert obeyed["perturbed"]["leaked_characters"]["value"] == 1
    assert ignored["change"]["difference"] == 0
    assert ignored["documents_emptied"]["value"] == 0


def test_joined_documents_are_compared_with_their_own_clean_answers(tmp_path):
    """Clean answers are shifted to where their documents stand in the joint: same answers, no change."""
    names = [Document("I am Ann Bell.", (Span(5, 13, "PERSON_NAME"),), id=str(i)) for i in range(40)]
    made = robustness.measure_all(names, ["many_entities"], config_for(tmp_path, names), Obedient)
    part = made["perturbations"]["many_entities"]
    assert part["num_documents"] == 2
    assert part["systems"]["patterns"]["clean"]["f1"]["value"] == 1
    assert part["systems"]["patterns"]["perturbed"]["f1"]["value"] == 1


def test_the_command_writes_table_and_plot_without_any_text(tmp_path, capsys):
    rows = [document(id=str(index)) for index in range(12)]
    config_for(tmp_path, rows)
    recipe = tmp_path / "eval.yaml"
    recipe.write_text(
        json.dumps(
            {
                "output": str(tmp_path / "eval"),
                "splits": {"test": {"file": str(tmp_path / "test.jsonl")}},
                "extractor": {"detectors": "patterns"},
                "num_resamples": 20,
            }
        )
    )
    words = ["robustness", "--config", str(recipe), "--only", "homoglyphs", "fake_turn", "separators"]
    assert run.main(words) == 0
    shown = capsys.readouterr().out
    folder = tmp_path / "eval-robustness"
    report = json.loads((folder / "robustness.json").read_text())
    homoglyphs = report["perturbations"]["homoglyphs"]
    assert homoglyphs["num_documents"] == 12
    assert homoglyphs["systems"]["patterns"]["change"]["difference"] < 0
    assert report["perturbations"]["separators"]["systems"]["patterns"]["change"]["difference"] == 0
    assert "homoglyphs" in shown
    for file in folder.iterdir():
        assert not any(value in file.read_text() for value, _ in PLACES), file.name
    assert "<svg" in (folder / "robustness.svg").read_text()
    made = (folder / "robustness.json").stat().st_mtime_ns
    assert run.main(words) == 0
    assert (folder / "robustness.json").stat().st_mtime_ns == made


def test_an_unknown_split_is_refused(tmp_path, capsys):
    config_for(tmp_path, [document()])
    recipe = tmp_path / "eval.yaml"
    recipe.write_text(
        json.dumps({"output": str(tmp_path / "e"), "splits": {"test": {"file": "x"}}, "extractor": {}})
    )
    assert run.main(["robustness", "--config", str(recipe), "--split", "nope"]) == 2
    assert "--split nope" in capsys.readouterr().err
