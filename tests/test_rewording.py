"""Other words around entities: the entities stay what and where they are, and so does what announces them."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipeline import rewording
from data_pipeline.rewording import Rewording
from data_pipeline.synthesis import Synthesiser
from data_pipeline.synthesis_recipe import SynthesisConfig
from data_pipeline.values.reference import words
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
    monkeypatch.setattr(rewording, "NO_PEOPLE", 0.0)
    monkeypatch.setattr(rewording, "CAPITALISED", 0.0)
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


def test_what_is_written_like_a_name_comes_in_and_is_nobody(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rewording, "SHARE", 1.0)
    monkeypatch.setattr(rewording, "NO_PEOPLE", 1.0)
    text = "we went there with 李雷 and came back at once，然后我们都回家了"
    name = text.index("李雷")
    document = Document(text, (Span(name, name + 2, "PERSON_NAME"),))
    made = [Rewording(CHAT)(document, Random(seed)) for seed in range(20)]
    known = {*words("no_people", "en"), *words("no_people", "zh")}
    assert all(any(word in one.text for word in known) for one in made)
    assert all([s.value(one.text) for s in one.spans] == ["李雷"] for one in made)


def test_capitals_come_in_where_there_was_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rewording, "NO_PEOPLE", 0.0)
    text = "nothing here has a capital and so all of them are new " * 20
    made = Rewording(CHAT)(Document(text, ()), Random(0)).text
    assert 5 < sum(word[0].isupper() for word in made.split()) < 100
