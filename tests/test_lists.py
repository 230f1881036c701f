"""Allow and deny lists: what a caller says wins over detectors, and no pattern takes the service down."""

import time
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from pii.errors import RequestError
from pii.patterns import Match
from pii.spans import Span
from serving import lists
from serving.app import create_app
from serving.extraction import Looked, _listed
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from serving.lists import AllowedPattern, DeniedPattern, DeniedWord, Lists
from serving.model_detector import Reading
from serving.settings import ServeConfig
from tests.strategies import texts

SEED = "我叫张三，电话13800138000"


@pytest.fixture(scope="module")
def client() -> TestClient:
    config = ServeConfig(extractor=ExtractorConfig(detectors="patterns"))
    return TestClient(create_app(config, Extractor.open(config.extractor)))


def values(client: TestClient, text: str, **members: Any) -> list[str]:
    answer = client.post("/extract", json={"text": text, **members})
    assert answer.status_code == 200, answer.text
    return [entity["value"] for entity in answer.json()["entities"]]


# --- what they mean ---------------------------------------------------------------------------------


def test_an_allowed_value_is_no_entity_and_stays_in_redacted_text(client: TestClient) -> None:
    assert values(client, SEED) == ["张三", "13800138000"]
    assert values(client, SEED, allow_list=["张三"]) == ["13800138000"]
    assert values(client, SEED, allow_list=[{"pattern": "1380+1.*"}]) == ["张三"]
    redacted = client.post("/redact", json={"text": SEED, "allow_list": ["13800138000"]}).json()
    assert redacted["text"] == "我叫<PERSON_NAME>，电话13800138000"


def test_an_allowed_value_has_to_be_the_whole_value(client: TestClient) -> None:
    assert values(client, SEED, allow_list=["张", "1380013800", {"pattern": "138"}]) == [
        "张三",
        "13800138000",
    ]


def test_a_denied_value_is_found_everywhere_and_redacted(client: TestClient) -> None:
    text = "天鹰计划和Falcon，falconry不是，FALCON是"
    assert values(client, text, deny_list=["天鹰计划", "falcon"]) == ["天鹰计划", "Falcon", "FALCON"]
    deny = [{"word": "天鹰计划", "type": "PROJECT"}, {"pattern": "(?i)falcon", "type": "BIRD"}]
    redacted = client.post("/redact", json={"text": text, "deny_list": deny}).json()
    assert redacted["text"] == "<PROJECT>和<BIRD>，<BIRD>ry不是，<BIRD>是"


def test_what_is_denied_wins_over_what_detectors_found(client: TestClient) -> None:
    answer = client.post(
        "/extract", json={"text": SEED, "deny_list": [{"word": "电话13800138000", "type": "LINE"}]}
    ).json()
    assert [(e["type"], e["start"], e["end"]) for e in answer["entities"]] == [
        ("PERSON_NAME", 2, 4),
        ("LINE", 5, 18),
    ]
    assert answer["entities"][1]["source"] == "deny_list"


def test_an_allowed_value_makes_room_for_what_it_had_displaced(client: TestClient) -> None:
    """The values are left out before the choice between overlapping spans, not after it."""
    extractor = Extractor.open(ExtractorConfig(detectors="patterns"))
    plan = replace(extractor.plan(), detectors="merged")
    reading = Reading(spans=(Span(5, 18, "PHONE_NUMBER"),), evidence=(None,))
    looked = Looked([Match(Span(7, 18, "QQ_NUMBER", source="pattern"), "shape", "qq")], None, 0.0, 0.0)
    kept = _listed(SEED, plan, Lists(allow=["李四"]), reading, looked)
    freed = _listed(SEED, plan, Lists(allow=["13800138000"]), reading, looked)
    assert [span.type for span in kept.spans] == ["QQ_NUMBER"]
    assert [span.type for span in freed.spans] == ["PHONE_NUMBER"]


@given(texts, st.lists(texts.filter(bool), max_size=4))
def test_denied_words_are_found_where_they_stand(text: str, words: list[str]) -> None:
    spans = Lists(deny=words).denied(text)
    assert all(
        any(span.value(text).casefold() == word.casefold() for word in words) or not text.isascii()
        for span in spans
    )
    assert all(a.end <= b.start for a, b in pairwise(spans))
    for word in words:
        at = text.find(word)
        beside = text[at - 1 : at] + text[at + len(word) : at + len(word) + 1]
        if at >= 0 and not any(c.isascii() and (c.isalnum() or c == "_") for c in beside):
            assert any(span.start < at + len(word) and at < span.end for span in spans)


# --- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "code", "place"),
    [
        ({"deny_list": [{"pattern": "("}]}, "pattern_not_supported", "deny_list[0]"),
        ({"deny_list": ["x", {"pattern": "(?<=张)三"}]}, "pattern_not_supported", "deny_list[1]"),
        ({"allow_list": [{"pattern": r"(张)\1"}]}, "pattern_not_supported", "allow_list[0]"),
        ({"allow_list": [{"pattern": "(a{1000}){1000}"}]}, "pattern_not_supported", "allow_list[0]"),
        ({"deny_list": [{"pattern": "张" * 501}]}, "wrong_member", "deny_list[0]"),
        ({"deny_list": [{"word": "张三", "type": "张三"}]}, "wrong_member", "deny_list[0]"),
        ({"deny_list": [{"word": "张三", "张三": 1}]}, "wrong_member", "deny_list[0]"),
        ({"deny_list": [""]}, "wrong_member", "deny_list[0]"),
        ({"deny_list": [138]}, "wrong_member", "deny_list[0]"),
        ({"allow_list": ["张三"] * 1001}, "wrong_member", "allow_list"),
        ({"allow_list": "张三"}, "wrong_member", "allow_list"),
        ({"offset_unit": "张三"}, "wrong_member", "offset_unit"),
        ({"language": "fr"}, "language_not_supported", "language"),
        ({"language": "张三"}, "language_not_supported", "language"),
        ({"language": 138}, "wrong_member", "language"),
    ],
)
def test_refused_members_have_a_code_and_a_place(
    client: TestClient, capfd: pytest.CaptureFixture[str], members: Any, code: str, place: str
) -> None:
    answer = client.post("/extract", json={"text": "", **members})
    assert (answer.status_code, answer.json()["code"], answer.json()["place"]) == (422, code, place)
    # RE2 writes refused patterns to standard error unless told not to.
    for written in (answer.text, *capfd.readouterr()):
        assert "张" not in written
        assert "138" not in written


@pytest.mark.parametrize("language", ["zh", "en", "zh-CN", "en-US", "zh-Hant-TW"])
def test_languages_that_are_read(client: TestClient, language: str) -> None:
    assert values(client, SEED, language=language) == ["张三", "13800138000"]


BOMBS = ["(a+)+$", "(a|aa)*b", "(.*)*x", "(?:a?){30}a{30}", r"(\w+\s?)*$y", "(x+x+)+y", "a.{100}b"]


@pytest.mark.parametrize("bomb", BOMBS)
def test_patterns_that_explode_elsewhere_take_linear_time(bomb: str) -> None:
    """Half a million characters, of which every one begins a match that fails. Python's `re` needs years."""
    text = "a" * 500_000
    started = time.process_time()
    Lists(allow=[AllowedPattern(pattern=bomb)]).allows(text)
    try:
        Lists(deny=[DeniedPattern(pattern=bomb)]).denied(text)
    except RequestError as error:
        assert error.code == "patterns_too_slow"  # noqa: PT017
    assert time.process_time() - started < 2 * lists.BUDGET_S


def test_patterns_with_too_many_slow_matches_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each match looks through the rest of the text before it settles for one character: quadratic."""
    monkeypatch.setattr(lists, "BUDGET_S", 0.05)
    with pytest.raises(RequestError) as refused:
        Lists(deny=[DeniedPattern(pattern=".*b|a")]).denied("a" * 300_000)
    assert (refused.value.code, refused.value.place) == ("patterns_too_slow", "deny_list")


def test_lists_keep_no_pattern_of_a_caller() -> None:
    """RE2's Python module caches what it compiled, and a deny list may hold names."""
    import re2

    Lists(deny=[DeniedWord(word="欧阳哨兵"), DeniedPattern(pattern="139\\d{8}")])
    assert re2._Regexp._make.cache_info().currsize == 0
