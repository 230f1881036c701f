"""What an answer is worth, as a table: F1 of exact spans, validity of the format, leakage of characters."""

import pytest

from pii.spans import Span
from training.objective_recipe import Rewards
from training.rewards import Worth, judge, weights

TEXT = "我叫张三，电话13800138000"
GOLD = (Span(2, 4, "PERSON_NAME"), Span(7, 18, "PHONE_NUMBER"))
NAME, PHONE = '{"type":"PERSON_NAME","value":"张三"}', '{"type":"PHONE_NUMBER","value":"13800138000"}'


def answer(*entities: str) -> str:
    return f'{{"entities":[{",".join(entities)}]}}'


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (answer(NAME, PHONE), Worth(1.0, 1.0, 0.0)),
        (answer(NAME), Worth(2 / 3, 1.0, 11 / 13)),
        (answer(), Worth(0.0, 1.0, 1.0)),
        # Another type hides the value all the same.
        (answer(NAME.replace("PERSON_NAME", "LOCATION"), PHONE), Worth(0.5, 1.0, 0.0)),
        # A part of the value: not the span, and the rest leaks.
        (answer(NAME, PHONE.replace("13800138000", "1380013")), Worth(0.5, 1.0, 4 / 13)),
        # An invented value covers nothing and costs precision.
        (answer(NAME, PHONE, NAME.replace("张三", "李四")), Worth(0.8, 1.0, 0.0)),
        ("Sure! " + answer(NAME, PHONE), Worth(1.0, 0.0, 0.0)),
        (answer(NAME, PHONE)[:-3], Worth(2 / 3, 0.0, 11 / 13)),
        ("", Worth(0.0, 0.0, 1.0)),
    ],
)
def test_an_answer_is_worth_what_it_finds(written, expected):
    worth = judge(TEXT, GOLD, written)
    assert (worth.f1, worth.validity, worth.leakage) == pytest.approx(
        (expected.f1, expected.validity, expected.leakage)
    )


def test_an_answer_that_the_budget_ended_is_not_valid():
    assert judge(TEXT, GOLD, answer(NAME, PHONE), ended=False).validity == 0.0


def test_nothing_to_find_and_nothing_found_is_right_and_leaks_nothing():
    assert judge("今天天气很好。", (), answer()) == Worth(1.0, 1.0, 0.0)
    assert judge("今天天气很好。", (), answer('{"type":"DATE","value":"今天"}')).f1 == 0.0


def test_leakage_is_taken_off():
    assert weights(Rewards(kind="grpo", f1=2.0, validity=0.1, leakage=0.4)) == {
        "f1": 2.0,
        "validity": 0.1,
        "leakage": -0.4,
    }
