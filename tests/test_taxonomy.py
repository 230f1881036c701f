"""The entity types: the shipped ones, the user's own, and requests for them."""

from pathlib import Path
from typing import Any

import pytest

from configs.errors import ConfigError
from pii.errors import RequestError
from pii.taxonomy import load, shipped

EXTENSION = """
CUSTOMER_CODE: {zh: "客户代码", en: "customer code", tier: "direct", default: true}
URL: {default: true}
QQ_NUMBER: {default: false}
"""


def test_thirty_types_and_two_extensions_in_a_stable_order() -> None:
    names = [t.name for t in shipped()]
    assert len(names) == 32
    assert names[:4] == ["PERSON_NAME", "PHONE_NUMBER", "EMAIL_ADDRESS", "ADDRESS"]
    assert names[-2:] == ["HEALTH_CONDITION", "SENSITIVE_ATTRIBUTE"]


def test_what_a_request_without_types_asks_for() -> None:
    """Changing this set changes what the short prompt means: it makes every trained model another one's."""
    optional = {
        "LOCATION",
        "ORGANIZATION",
        "ORG_REGISTRATION_NUMBER",
        "URL",
        "DATE_TIME",
        "DEMOGRAPHIC",
        "HEALTH_CONDITION",
        "SENSITIVE_ATTRIBUTE",
    }
    assert set(shipped().default_types) == {t.name for t in shipped()} - optional
    assert shipped().resolve(None) == shipped().default_types


def test_every_type_has_a_name_in_both_languages() -> None:
    for kind in shipped():
        assert any("\u4e00" <= char <= "\u9fff" or char.isascii() for char in kind.zh)
        assert kind.en.isascii()
        assert kind.en


def test_tier_and_law_are_two_things() -> None:
    """An identity card number points at one person, and is sensitive by one standard and not another."""
    assert shipped()["NATIONAL_ID_NUMBER"].tier == "direct"
    assert shipped()["PERSON_NAME"].sensitive == ""
    assert "PIPL Art. 28" in shipped()["MEDICAL_RECORD_NUMBER"].sensitive


def test_requested_types_come_in_taxonomy_order_and_once() -> None:
    assert shipped().resolve(["URL", "PERSON_NAME", "URL"]) == ("PERSON_NAME", "URL")


@pytest.mark.parametrize(
    ("names", "code", "place"),
    [
        (["PERSON_NAME", "张三"], "unknown_type", "types[1]"),
        (["person_name"], "unknown_type", "types[0]"),
        ([["PERSON_NAME"]], "unknown_type", "types[0]"),
        ([None], "unknown_type", "types[0]"),
        ([], "no_types", "types"),
    ],
)
def test_a_request_for_no_type_of_ours_names_the_place_and_not_the_word(
    names: list[Any], code: str, place: str
) -> None:
    with pytest.raises(RequestError) as caught:
        shipped().resolve(names)
    assert (caught.value.code, caught.value.place) == (code, place)
    assert "张三" not in str(caught.value)


def test_a_user_adds_types_and_switches_others(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(EXTENSION, encoding="utf-8")
    own = load(path)
    assert [t.name for t in own][-1] == "CUSTOMER_CODE"
    assert {"CUSTOMER_CODE", "URL"} <= set(own.default_types)
    assert "QQ_NUMBER" not in own.default_types
    assert own["QQ_NUMBER"].zh == "QQ 号"
    assert "CUSTOMER_CODE" not in shipped()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected a mapping"),
        ("- URL", "expected a mapping"),
        ("URL: true", "URL: expected the fields"),
        ("URL: {name: WEB}", "URL: expected the fields"),
        ("URL: {tier: high}", "URL: tier: "),
        ("URL: {colour: red}", "URL: colour: unknown key"),
        ("NEW_TYPE: {zh: 新}", "NEW_TYPE: en: is required"),
        ("new: {zh: 新, en: new, tier: direct, default: true}", "new: name: string should match"),
        ("'A\" | B': {zh: 新, en: new, tier: direct, default: true}", "name: string should match"),
        ("NO: {zh: 新, en: new, tier: direct, default: true}", "name: input should be a valid string"),
    ],
)
def test_a_wrong_extension_is_named_with_its_file(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=f"own.yaml: .*{reason}"):
        load(path)
