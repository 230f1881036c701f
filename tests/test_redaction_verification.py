"""A value that is still there is found, in any form; what is kept on purpose is none; certificates hold."""

import json
import logging

import pytest
from hypothesis import given

from configs.errors import ConfigError
from configs.reader import RECIPES
from pii.errors import DataError
from pii.patterns import find
from pii.redaction import (
    Encrypt,
    Generalise,
    Hash,
    Keep,
    LeakError,
    Mask,
    Policy,
    RedactionKey,
    Remove,
    Shift,
    Surrogate,
    Tally,
    load_policy,
    redact,
    redact_verified,
    shipped_policies,
    verify,
    verify_certificate,
)
from pii.spans import Span
from pii.taxonomy import shipped
from tests.strategies import documents

KEY, OTHER = RedactionKey(bytes(range(32))), RedactionKey(bytes(range(1, 33)))
FAIL = Policy(on_leak="fail")
PHONE = Span(0, 11, "PHONE_NUMBER", "cn_mobile", source="model")


def leaks(text, *spans, policy=FAIL, types=()):
    """Kinds and places of leaks; patterns look only for the types that are named."""
    found = verify(text, redact(text, spans, policy, key=KEY), spans, policy, types=types)
    return [(leak.kind, leak.span.start, leak.span.end) for leak in found]


@pytest.mark.parametrize(
    "again",
    [
        "13800138000",
        "138-0013-8000",
        "138 0013 8000",
        "１３８００１３８０００",
        "1\u200b38\u200b00138000",
        "一三八零零一三八零零零",
        "8613800138000",
        "(138)00138000",
    ],
)
def test_a_value_in_another_form_is_a_leak(again):
    text = f"13800138000；备注{again}完"
    start = len("<PHONE_NUMBER>；备注")
    ((kind, first, last),) = leaks(text, PHONE)
    assert kind == "value"
    assert first >= start
    assert last == start + len(again)


@pytest.mark.parametrize(
    ("value", "rest"),
    [
        ("王明", "国王，明天"),
        ("Lee", "fleeing"),
        ("Anna", "Hannah and annals"),
        ("1234", "201234"),
        ("张", "张开"),
    ],
)
def test_accidents_of_folding_are_no_leak(value, rest):
    assert leaks(f"{value}：{rest}", Span(0, len(value), "PERSON_NAME")) == []


def test_a_name_in_another_case_or_spacing_is_a_leak():
    assert leaks("John Smith wrote; JOHN  SMITH signed", Span(0, 10, "PERSON_NAME")) == [("value", 21, 32)]
    assert leaks("张三，张 三", Span(0, 2, "PERSON_NAME")) == [("value", 14, 17)]


def test_what_the_patterns_find_outside_replacements_is_a_leak():
    text = "13800138000 mail a@b.example.com"
    assert leaks(text, PHONE, types=("EMAIL_ADDRESS",)) == [("pattern", 20, 35)]
    assert leaks(text, PHONE, types=("PHONE_NUMBER",)) == []


def test_what_is_kept_or_generalised_is_no_leak():
    keeps = Policy(types={"PHONE_NUMBER": Keep()}, on_leak="fail")
    assert leaks("13800138000 13800138000", PHONE, policy=keeps, types=("PHONE_NUMBER",)) == []
    coarse = Policy(default=Generalise(), on_leak="fail")
    assert leaks("1990年", Span(0, 5, "DATE_OF_BIRTH"), policy=coarse) == []


def test_surrogates_and_tokens_are_not_taken_for_leaks():
    text = "13800138000，邮箱a@b.example.com"
    spans = [PHONE, Span(14, 29, "EMAIL_ADDRESS")]
    for operator in (Surrogate(), Encrypt(), Hash(), Mask(keep_last=4), Remove()):
        assert leaks(text, *spans, policy=Policy(default=operator, on_leak="fail"), types=None) == [], (
            operator
        )


def test_a_mask_that_hides_nothing_is_a_leak():
    assert leaks("---", Span(0, 3, "CREDENTIAL"), policy=Policy(default=Mask(), on_leak="fail")) == [
        ("unchanged", 0, 3)
    ]


def test_by_policy_a_leak_fails_the_text_without_showing_it():
    with pytest.raises(LeakError, match=r"1 leaks \(value 1\)") as caught:
        redact_verified("13800138000 13800138000", [PHONE], FAIL, types=())
    assert "138" not in str(caught.value) + repr(caught.value.leaks)


def test_by_policy_a_leak_becomes_a_tag():
    text = "13800138000，再拨138-0013-8000或a@b.example.com"
    policy = Policy(types={"PHONE_NUMBER": Surrogate()}, on_leak="escalate")
    done = redact_verified(text, [PHONE], policy, key=KEY)
    assert done.redacted.text[11:] == "，再拨<PHONE_NUMBER>或<EMAIL_ADDRESS>"
    assert done.num_escalated == 2
    masked = redact_verified("---", [Span(0, 3, "CREDENTIAL")], Policy(default=Mask()))
    assert masked.redacted.text == "<CREDENTIAL>"


@given(documents())
def test_after_escalation_nothing_is_left_and_nothing_else_changed(document):
    try:
        done = redact_verified(document.text, document.spans, Policy(default=Surrogate()), key=KEY)
    except LeakError:
        # A value that stands in the text of a tag or of its neighbour cannot be hidden: it is refused.
        return
    rest, copied = "", 0
    for replacement in done.redacted.replacements:
        rest += done.redacted.text[copied : replacement.start] + replacement.span.value(document.text)
        copied = replacement.end
    assert rest + done.redacted.text[copied:] == document.text
    assert not verify(document.text, done.redacted, document.spans, Policy(default=Surrogate()))


# --- shipped policies -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", shipped_policies())
def test_every_type_has_a_stated_rule_with_its_source(name):
    policy = load_policy(name)
    assert set(policy.types) == {t.name for t in shipped()}
    assert all(rule.basis for rule in (policy.default, *policy.types.values()))
    assert policy.on_leak == "escalate"


def test_the_shipped_policies_are_these():
    assert shipped_policies() == ("gdpr", "hipaa-safe-harbor", "logs", "pipl")
    needing = {name for name in shipped_policies() if load_policy(name).needs_key}
    assert needing == {"gdpr", "logs"}


def test_a_policy_of_ones_own_is_a_file(tmp_path):
    (tmp_path / "own.yaml").write_text("types: {URL: {operator: remove}}")
    assert load_policy(str(tmp_path / "own.yaml")).types["URL"] == Remove()
    with pytest.raises(ConfigError, match="gdpr, hipaa-safe-harbor, logs, pipl"):
        load_policy("ccpa")
    (tmp_path / "key.yaml").write_text("key: 0123")
    with pytest.raises(ConfigError, match="unknown key"):
        load_policy(str(tmp_path / "key.yaml"))


TEXT = (
    "张三（身份证11010519491231002X，1990年5月6日生）电话138-0013-8000，住北京市朝阳区建国路88号，IP 8.8.8.8"
)


@pytest.mark.parametrize("name", shipped_policies())
def test_a_shipped_policy_hides_the_values(name):
    spans = [match.span for match in find(TEXT)] + [Span(0, 2, "PERSON_NAME")]
    clean = redact_verified(TEXT, spans, load_policy(name), key=KEY).redacted.text
    for value in ("张三", "11010519491231002X", "5月6日", "138-0013-8000", "建国路88号"):
        assert value not in clean


def test_recipes_hold_no_key():
    for path in RECIPES.glob("*/*.yaml"):
        assert "secret:" not in path.read_text(encoding="utf-8")


# --- certificates -----------------------------------------------------------------------------------


def certificate(key=KEY):
    tally = Tally()
    tally.add(redact_verified("13800138000，再拨138-0013-8000", [PHONE], types=()))
    tally.add_refused(leaking=True)
    return tally.certificate({"policy": "ab" * 32}, key)


def test_a_certificate_counts_and_says_nothing_of_the_text():
    made = certificate()
    assert (made.rows, made.bad_rows, made.leaking_rows, made.leaks, made.escalated) == (1, 1, 1, 0, 1)
    assert made.by_type == {"PHONE_NUMBER": 2}
    assert made.by_source == {"model": 1, "verification": 1}
    assert made.by_operator == {"replace": 2}
    assert "138" not in "".join(str(value) for name, value in made if name not in ("signature", "key_id"))
    assert verify_certificate(made.as_json(), KEY) == made


def test_an_altered_foreign_or_unsigned_certificate_is_refused():
    content = certificate().as_json()
    for key, value in (("leaks", 1), ("rows", 2), ("by_type", {}), ("hashes", {})):
        with pytest.raises(DataError, match="altered"):
            verify_certificate(json.dumps({**json.loads(content), key: value}), KEY)
    with pytest.raises(DataError, match="another key"):
        verify_certificate(content, OTHER)
    with pytest.raises(DataError, match="not signed"):
        verify_certificate(certificate(None).as_json(), KEY)
    with pytest.raises(DataError, match="not JSON"):
        verify_certificate("{", KEY)


# --- silence ----------------------------------------------------------------------------------------


def test_nothing_logs_or_shows_a_value(caplog):
    caplog.set_level(logging.DEBUG)
    sentinel = "哨兵Zyzzyva88"
    shown = []
    for operator in (Surrogate(), Encrypt(), Hash(), Shift(), Generalise(), Mask()):
        spans = [
            Span(0, len(sentinel), "PERSON_NAME"),
            Span(len(sentinel) + 1, len(sentinel) + 12, "PHONE_NUMBER"),
        ]
        result = redact_verified(
            f"{sentinel} 13800138000", spans, Policy(default=operator), key=KEY, types=()
        )
        shown.append(repr(result))
    assert "Zyzzyva" not in "".join(shown) + caplog.text
    assert "13800138000" not in "".join(shown) + caplog.text
