"""The curriculum order: from easy to hard, nothing lost, chat evenly among it."""

from random import Random

import pytest
from pydantic import ValidationError

from data_pipeline import curriculum
from data_pipeline.curriculum import FORM_DIFFICULTY, difficulty, in_order
from data_pipeline.pool import Pool
from data_pipeline.preparation import Example, Facts
from data_pipeline.recipe import CurriculumConfig
from data_pipeline.surface import FORMS

EVEN = CurriculumConfig()


def facts(entities=0, chars=50, form="bare", asks="default"):
    return Facts("zh", ("PERSON_NAME",) * entities, chars, asks, form, "plain", "bank", ())


def test_every_form_has_a_difficulty():
    assert set(FORM_DIFFICULTY) == set(FORMS)


@pytest.mark.parametrize(
    ("easy", "hard"),
    [
        (facts(1), facts(2)),
        (facts(chars=20), facts(chars=21)),
        (facts(1, form="bare"), facts(1, form="dashed")),
        (facts(1, form="dashed"), facts(1, form="ocr")),
    ],
)
def test_more_entities_more_characters_and_stranger_forms_are_harder(easy, hard):
    assert 0 <= difficulty(easy, EVEN) < difficulty(hard, EVEN) < 1


def test_a_weight_of_zero_leaves_a_measure_out():
    alone = CurriculumConfig(entities=0, length=0, form=1)
    assert difficulty(facts(9, 500, "dotted"), alone) == difficulty(facts(1, 5, "dotted"), alone)
    with pytest.raises(ValidationError, match="every weight is 0"):
        CurriculumConfig(entities=0, length=0, form=0)


def test_examples_go_from_easy_to_hard_and_chat_stays_spread(tmp_path):
    rng = Random(3)
    items = [
        (
            "synthetic",
            Example(f"line {n}", facts(rng.randrange(6), rng.randrange(1, 400), rng.choice([*FORMS]))),
        )
        if n % 10
        else ("chat.x", Example(f"line {n}", facts(chars=900, asks="chat")))
        for n in range(400)
    ]
    with Pool(tmp_path / "labelled") as labelled, Pool(tmp_path / "chat") as chat:
        ordered = list(in_order(items, EVEN, labelled, chat))
    assert sorted(e.line for _, e in ordered) == sorted(e.line for _, e in items)
    assert {e.line: (n, e.facts) for n, e in ordered} == {e.line: (n, e.facts) for n, e in items}
    ranks = [difficulty(e.facts, EVEN) for name, e in ordered if name == "synthetic"]
    assert ranks == pytest.approx(sorted(ranks), abs=1e-9)
    assert ranks[0] < 0.2 < 0.6 < ranks[-1]
    for start in range(0, 400, 100):
        assert 9 <= sum(name == "chat.x" for name, _ in ordered[start : start + 100]) <= 11


def test_the_mixed_order_decides_between_equally_hard_ones(tmp_path):
    items = [("synthetic", Example(f"line {n}", facts(1))) for n in range(30)]
    with Pool(tmp_path / "labelled") as labelled, Pool(tmp_path / "chat") as chat:
        assert list(curriculum.in_order(items, EVEN, labelled, chat)) == items
