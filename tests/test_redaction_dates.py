"""Dates keep their form; shifts keep distances; generalised values say less."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pii.redaction import Generalise, Policy, RedactionKey, Shift, redact
from pii.redaction.occurrence import Scope
from pii.redaction.written_dates import WrittenDate
from pii.spans import Span

KEY = RedactionKey(bytes(range(32)))

FORMS = [
    ("1990年05月06日", "1991年12月01日"),
    ("1990年5月6日", "1991年12月1日"),
    ("90年5月6号", "91年12月1号"),
    ("一九九〇年五月六日", "一九九一年十二月一日"),
    ("1990-05-06", "1991-12-01"),
    ("１９９０／５／６", "１９９１／１２／１"),
    ("05/06/1990", "12/01/1991"),
    ("6.5.1990", "1.12.1991"),
    ("25/06/1990", "01/12/1991"),
    ("19900506", "19911201"),
    ("May 6th, 1990", "December 1st, 1991"),
    ("6 MAY 1990", "1 DECEMBER 1991"),
    ("06-Jun-1990", "01-Dec-1991"),
    ("1990年5月", "1991年12月"),
    ("5月6日", "12月1日"),
    ("1990年", "1991年"),
    ("1990-05-06T14:30:00Z", "1991-12-01T14:30:00Z"),
    ("1990年5月6日下午3点半", "1991年12月1日下午3点半"),
]


@pytest.mark.parametrize(("written", "again"), FORMS)
def test_a_date_is_written_again_in_its_form(written, again):
    assert WrittenDate.read(written).rewritten(datetime.date(1991, 12, 1)) == again


@pytest.mark.parametrize(
    "value", ["昨天", "14:30", "1990-02-30", "1990年5月6日星期日", "2024-03-05 to 2024-04-01", "农历正月初五"]
)
def test_what_cannot_be_moved_whole_becomes_a_tag(value):
    policy = Policy(default=Shift())
    assert redact(value, [Span(0, len(value), "DATE_TIME")], policy, key=KEY).text == "<DATE_TIME>"


def test_a_date_inside_another_number_is_not_shifted():
    value = "110105 19491231 002x"
    assert redact(
        value, [Span(0, len(value), "NATIONAL_ID_NUMBER")], Policy(default=Shift()), key=KEY
    ).text == ("<NATIONAL_ID_NUMBER>")


@given(st.dates(datetime.date(1950, 1, 1)), st.integers(1, 900), st.text(max_size=4))
def test_a_shift_keeps_distances_and_is_never_nothing(first, days, document):
    first = min(first, datetime.date(2090, 1, 1))
    second = first + datetime.timedelta(days=days)
    text = f"{first.isoformat()} {second.isoformat()}"
    spans = [Span(0, 10, "DATE_TIME"), Span(11, 21, "DATE_TIME")]
    moved = redact(text, spans, Policy(default=Shift(max_days=30)), key=KEY, document=document).text
    one, two = (datetime.date.fromisoformat(part) for part in moved.split())
    assert two - one == second - first
    assert 1 <= abs((one - first).days) <= 30


def test_documents_have_their_own_offsets_unless_the_key_has_one():
    own = {Shift().offset_days(Scope(KEY, document=str(n))) for n in range(50)}
    shared = {Shift(per="key").offset_days(Scope(KEY, document=str(n))) for n in range(50)}
    assert len(own) > 30
    assert len(shared) == 1


@pytest.mark.parametrize(
    ("type", "value", "coarser"),
    [
        ("ADDRESS", "广东省深圳市南山区科技园路1号", "广东省深圳市"),
        ("ADDRESS", "北京市朝阳区建国路88号", "北京市"),
        ("ADDRESS", "建国路88号", "<ADDRESS>"),
        ("ADDRESS", "123 Main Street, Springfield, IL 62704", "Springfield, IL"),
        ("ADDRESS", "62704", "627**"),
        ("ADDRESS", "03601", "000**"),
        ("ADDRESS", "100020", "10****"),
        ("DATE_OF_BIRTH", "1990年5月6日", "1990年"),
        ("DATE_OF_BIRTH", "05/06/1990", "1990"),
        ("DATE_OF_BIRTH", "1890-05-06", "<DATE_OF_BIRTH>"),
        ("DEMOGRAPHIC", "35岁", "30-39岁"),
        ("DEMOGRAPHIC", "三十五岁", "30-39岁"),
        ("DEMOGRAPHIC", "aged 93", "aged 90+"),
        ("DEMOGRAPHIC", "女", "<DEMOGRAPHIC>"),
        ("IP_ADDRESS", "203.0.113.77", "203.0.113.0/24"),
        ("IP_ADDRESS", "2001:db8:1:2::3", "2001:db8:1::/48"),
        ("GEO_COORDINATE", "39.9042, 116.4074", "39.9, 116.4"),
        ("GEO_COORDINATE", "39°54′15″N 116°24′27″E", "39°N 116°E"),
        ("URL", "https://bob:pw@www.foo.com:8080/u/zhangsan?id=77", "https://www.foo.com"),
        ("PERSON_NAME", "张三", "<PERSON_NAME>"),
    ],
)
def test_generalised_values_say_less(type, value, coarser):
    assert redact(value, [Span(0, len(value), type)], Policy(default=Generalise())).text == coarser
