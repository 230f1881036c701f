"""Other words around entities: the entities stay what and where they are, and so does what announces them."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipeline import rewording
from data_pipeline.rewording import Rewording
from data_pipeline.synthesis import Synthesiser
from data_pipeline.synthesis_recipe import SynthesisConfig
from pii.spans import Document, Span

CHAT = ["今天天气很好，我们去公园散步。", "please write a short story about the sea"]


@pytest.fixture(scope="module")
def synthesiser() -> Synthesiser:
    return Synthesiser(SynthesisConfig(), seed=3)


@given(st.integers(0, 10**6))
def test_every_entity_keeps_its_value_and_its_type(synthesiser: Synthesiser, index: int):
    document = synthesiser.document(index)
    made = Rewording(CHAT)(document, Random(index))
    assert [(s.type, s.value(made.text)) for s in made.spans] == [
        (s.type, s.value(document.text)) for s in document.spans
    ]
    assert made.spans == tuple(sorted(made.spans))
    assert Rewording(CHAT)(document, Random(index)) == made


def test_words_give_way_but_not_those_that_say_what_a_number_is(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rewording, "SHARE", 1.0)
    text = "保安许依平捡到一个黑色的旧钱包，手机号是13800138000，订单号12345678 Thanks a lot"
    phone = text.index("138")
    spans = (Span(2, 5, "PERSON_NAME"), Span(phone, phone + 11, "PHONE_NUMBER"))
    made = Rewording(CHAT)(Document(text, spans), Random(0))
    before, behind = made.text.split("许依平")
    assert before != "保安"
    assert "捡到" not in behind
    assert "手机号是13800138000，订单号12345678" in behind
    assert made.text.split(" ")[-3:] != ["Thanks", "a", "lot"]
    assert made.text.split(" ")[-3][0].isupper()
    assert made.text.split(" ")[-2] == "a"


def test_most_words_stay():
    text = "这里没有任何人的名字，只有一些普通的句子和词语。" * 40
    made = Rewording(CHAT)(Document(text, ()), Random(0)).text
    kept = sum(made.count(piece) for piece in ("普通", "任何人", "词语")) / 120
    assert 0.5 < kept < 0.95
