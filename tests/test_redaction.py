"""Redaction hides every marked value and touches nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import ConfigError
from configs.reader import parse
from pii.errors import DataError
from pii.redaction import Keep, Mask, Policy, Remove, Replace, disjoint, redact
from pii.spans import Span

TEXT = "我叫张三，电话13800138000，张三再见"
SPANS = [Span(2, 4, "PERSON_NAME"), Span(7, 18, "PHONE_NUMBER", "cn_mobile"), Span(19, 21, "PERSON_NAME")]


def redacted(**policy):
    return redact(TEXT, SPANS, Policy(**policy)).text


def test_the_default_is_the_types_tag():
    assert redact(TEXT, SPANS).text == "我叫<PERSON_NAME>，电话<PHONE_NUMBER>，<PERSON_NAME>再见"


def test_templates_number_equal_values_alike():
    text = redacted(default=Replace(template="【{zh}{index}】"))
    assert text == "我叫【姓名1】，电话【电话号码1】，【姓名1】再见"
    both = redact(
        "张三和李四",
        [Span(0, 2, "PERSON_NAME"), Span(3, 5, "PERSON_NAME")],
        Policy(default=Replace(template="{index}")),
    )
    assert both.text == "1和2"


def test_a_subtypes_operator_goes_before_its_types():
    types = {"PHONE_NUMBER": Remove(), "cn_mobile": Mask(keep_first=3, keep_last=2), "PERSON_NAME": Keep()}
    assert redacted(types=types) == "我叫张三，电话138******00，张三再见"


def test_a_mask_keeps_separators_unless_told():
    span = [Span(0, 13, "PHONE_NUMBER")]
    assert redact("138-0013-8000", span, Policy(default=Mask(keep_last=4))).text == "***-****-8000"
    assert redact("138-0013-8000", span, Policy(default=Mask(keep_separators=False))).text == "*" * 13


def test_a_mask_that_would_show_most_of_a_short_value_shows_nothing():
    assert (
        redact("张三", [Span(0, 2, "PERSON_NAME")], Policy(default=Mask(keep_first=1, keep_last=1))).text
        == "**"
    )


@pytest.mark.parametrize("template", ["{value}", "{type.__class__}", "{", "{0}", "{type!x}"])
def test_a_template_that_could_leak_or_crash_is_refused(template):
    with pytest.raises(ConfigError, match="template"):
        parse({"default": {"operator": "replace", "template": template}}, Policy, "policy")


def test_a_policy_reads_from_a_recipe():
    policy = parse(
        {
            "types": {
                "cn_resident_id": {"operator": "mask", "keep_first": 6},
                "QQ_NUMBER": {"operator": "remove"},
            }
        },
        Policy,
        "policy",
    )
    assert policy.operator(Span(0, 1, "NATIONAL_ID_NUMBER", "cn_resident_id")) == Mask(keep_first=6)
    assert policy.operator(Span(0, 1, "QQ_NUMBER")) == Remove()
    assert policy.operator(Span(0, 1, "URL")) == Replace()


def test_overlapping_spans_hide_their_union_under_the_longest_type():
    spans = [Span(0, 4, "USERNAME"), Span(2, 9, "EMAIL_ADDRESS"), Span(9, 10, "URL")]
    assert disjoint(spans) == [Span(0, 9, "EMAIL_ADDRESS"), Span(9, 10, "URL")]


def test_a_span_behind_the_end_is_an_error_without_text():
    with pytest.raises(DataError, match="0-99") as caught:
        redact("张三", [Span(0, 99, "PERSON_NAME")])
    assert "张三" not in str(caught.value)


def test_no_value_in_a_repr():
    result = redact(TEXT, SPANS, Policy(default=Keep()))
    assert "张三" not in repr(result)
    assert "13800138000" not in repr(result)


TEXTS_AND_SPANS = st.text(min_size=1, max_size=60).flatmap(
    lambda text: st.tuples(
        st.just(text),
        st.lists(
            st.tuples(st.integers(0, len(text) - 1), st.integers(1, 9)).map(
                lambda pair: Span(pair[0], min(pair[0] + pair[1], len(text)), "PERSON_NAME")
            ),
            max_size=6,
        ),
    )
)
OPERATORS = st.sampled_from(
    [Replace(), Remove(), Keep(), Mask(), Mask(keep_first=1), Replace(template="x{index}")]
)


@given(TEXTS_AND_SPANS, OPERATORS)
def test_text_outside_the_spans_is_unchanged_and_replacements_stand_where_they_say(given_text, operator):
    text, spans = given_text
    result = redact(text, spans, Policy(default=operator))
    original = redacted_to = 0
    rebuilt = ""
    for replacement in result.replacements:
        assert text[original : replacement.span.start] == result.text[redacted_to : replacement.start]
        rebuilt += text[original : replacement.span.start] + replacement.span.value(text)
        original, redacted_to = replacement.span.end, replacement.end
    assert text[original:] == result.text[redacted_to:]
    assert rebuilt + text[original:] == text
    covered = {i for span in spans for i in range(span.start, span.end)}
    assert covered == {i for r in result.replacements for i in range(r.span.start, r.span.end)}


@given(TEXTS_AND_SPANS)
def test_removing_leaves_exactly_the_rest(given_text):
    text, spans = given_text
    covered = {i for span in spans for i in range(span.start, span.end)}
    assert redact(text, spans, Policy(default=Remove())).text == "".join(
        char for i, char in enumerate(text) if i not in covered
    )
