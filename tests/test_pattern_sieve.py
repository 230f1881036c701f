"""The sieve keeps from the finders only texts in which they would find nothing."""

import gzip
import json
import re
import time
from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from stdnum import imsi

import data_pipeline
from data_pipeline.matrix import cells, samples
from data_pipeline.synthesis import Synthesiser
from data_pipeline.synthesis_recipe import CARRIER_SHARES, FORM_SHARES, SynthesisConfig
from pii.folding import scan, scannable
from pii.identifiers.devices import _is_country
from pii.patterns import find, names, sieve, sifted
from pii.patterns.fields import FIELDS
from pii.patterns.labels import table
from pii.patterns.relaxed import compiled, relaxed
from pii.patterns.shaped import ALWAYS
from tests.strategies import PIECES
from tests.test_pattern_search import MARKS, VALUES

_READ = (
    "张三|欧阳秀英|古丽·买买提|John Smith|先生|医生|Mr. Smith|Dr. J. Doe|王芳|文三路5号|一座桥|Abc@1234"
    "|北京市朝阳区建国路88号3栋2单元501室|123 Main Street, Springfield, IL 62704|zhang.san@example.org"
    "|秀英.胡79@mail.cn|wxid_a1b2c3d4e5f6|sk-live-4f9a8b7c6d5e4f3a2b1c|1990年3月7日出生|一三八零零一三八零零零"
    "|京A12345|EMP-34888|北纬39.9度，东经116.4度|1 3 8 0 0 1 3|://user:secret@host|2001:db8::1|12:3045"
    "|1101****1234|  |(name, | VALUES (7, 'Ann Smith')|-----BEGIN PRIVATE KEY-----"
    "|\t|;|:|：|=|\"|'|>|<|是|is |，|。|_|-|·|*|\n|\r\n| "
)
READ = st.sampled_from([*_READ.split("|"), "|", "\n" + "A" * 64 + "\n"])
LABELS = st.sampled_from(sorted(table()))
HOSTILE = st.sampled_from([*PIECES, "\0", sieve._BETWEEN, "\ud800", "\udfff", "\u2028", "K", "ſ", "İ"])
FULL_WIDTH = str.maketrans({chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)})


def spelled(piece: str) -> st.SearchStrategy[str]:
    return st.sampled_from(
        [piece, piece, piece.upper(), piece.translate(FULL_WIDTH), piece.replace(" ", "_")]
    )


PARTS = (
    st.sampled_from([*VALUES, *MARKS]) | READ | LABELS | HOSTILE | st.text("0123456789 -.·()/xA@", max_size=8)
).flatmap(spelled)
TEXTS = st.lists(PARTS, max_size=10).map("".join) | st.text(max_size=20)


def everything(text: str) -> list:
    """What all finders find that read everything."""
    return find(text, None, sieve.EVERY)


def assert_same(texts: list[str]) -> int:
    """Sieved together, the texts hold what each of them holds; returns how many of them had to be read."""
    num_read = 0
    for text, kinds in sifted(texts):
        num_read += kinds > 0
        assert find(text, None, kinds) == everything(text), repr(text)
    return num_read


@given(st.lists(TEXTS, max_size=6))
@example(["姓名", "：张三"])
@example(["电话：138", "00138000"])
@example(["我叫", "张三", ""])
@example(["张三\n13800138000"])
@example(["abc\0电话：13800138000", "\n\0\n姓名：张三", ""])
@example(["cellphone: 13800138000", "iPhone: 13800138000", "home phone no 62345678"])
@example(["用户uidsk-live-4f9a8b7c6d5e4f3a2b1c"])
@example(["Tracking: SF1234567890123", "uid 张三", "支付宝uid：2088123412341234"])
def test_texts_sieved_together_hold_what_each_of_them_holds(texts):
    assert_same(texts)


@given(
    LABELS.flatmap(spelled),
    st.lists(PARTS, min_size=1, max_size=4),
    st.sampled_from(["", "x", "我的", "-", "1"]),
)
def test_no_label_is_overlooked(label, behind, before):
    assert_same([before + label + "".join(behind)])


def matches(pattern: str | re.Pattern[str], text: str) -> bool:
    """Whether the relaxed expression does."""
    return compiled([relaxed(pattern)]).search(text.encode()) is not None


PATTERNS = {
    **{shape.rule: shape.pattern for shape in ALWAYS},
    **{field.rule: field.value for field in FIELDS},
    "name_before_mobile": names._MOBILE,
    "name_after_title": names._WITH_TITLE,
}


@pytest.fixture(scope="module")
def written() -> list[str]:
    """A text for each form of each kind of value, and further values."""
    return [*VALUES, *(text for cell in cells() for text, _, _ in samples(cell, 2, seed=70))]


@pytest.mark.parametrize("rule", PATTERNS)
def test_a_relaxed_expression_matches_wherever_that_of_a_recogniser_does(rule, written):
    pattern = PATTERNS[rule]
    parts = [part for text in written for part in (scan(text).text, scan(text).text[1:])]
    found = [part for part in parts if pattern.search(part)]
    assert all(matches(pattern, part) for part in found)


CHARS = st.sampled_from(
    ["a", "K", "中", "名", "1", " ", r"\.", "[a-f1]", "[^a中]", "[中-十]", r"\s", r"[^\s1]", r"\w", "."]
)
AROUND = st.sampled_from(["(?={})", "(?!{})", "(?<={})"])
EXPRESSIONS = st.recursive(
    CHARS,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map("".join)
        | st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})")
        | st.tuples(
            inner, st.sampled_from(["?", "*", "{2}", "{0,1}", "{1,5}", "{2,9}", "{2,3}?", "{1,4}+"])
        ).map(lambda pair: f"(?:{pair[0]}){pair[1]}")
        | st.tuples(AROUND, CHARS, inner).map(lambda three: three[0].format(three[1]) + three[2])
        | st.tuples(inner, CHARS, st.sampled_from(["", "?"])).map(
            lambda t: f"({t[1]}){t[2]}{t[0]}(?(1)b|{t[1]})"
        )
        | st.tuples(CHARS, inner).map(lambda pair: rf"({pair[0]}){pair[1]}\1")
    ),
    max_leaves=6,
)


@given(EXPRESSIONS, st.text("abfkK中名十1 .\n", max_size=12), st.booleans())
def test_a_relaxed_expression_matches_at_least_as_much(expression, text, is_cased):
    try:
        pattern = re.compile(expression, 0 if is_cased else re.IGNORECASE)
        relaxed(pattern)
    except (re.error, ValueError):
        return  # two groups of one number, or refused
    if pattern.search(text):
        assert matches(pattern, text)


def test_an_expression_that_nobody_has_thought_of_is_refused():
    with pytest.raises(ValueError, match="no relaxed form"):
        relaxed(r"a\bc[^\w]")


def test_all_values_of_all_kinds_and_forms_pass():
    texts = [text for cell in cells() for text, _, _ in samples(cell, 3, seed=71)]
    assert assert_same(texts) > len(texts) * 0.9


def cut_anywhere(texts: list[str], rng: Random) -> list[str]:
    """The texts, and each in two: a value may end, or be broken off, where the text does."""
    cuts = [(text, rng.randrange(len(text) + 1)) for text in texts]
    return [part for text, at in cuts for part in (text, text[:at], text[at:])]


def generated(count: int, seed: int) -> list[str]:
    made = list(Synthesiser(SynthesisConfig(), seed).documents(0, count))
    assert {document.meta["carrier"] for document in made} >= set(CARRIER_SHARES)
    assert {document.meta["form"] for document in made} >= set(FORM_SHARES)
    return [document.text for document in made]


def test_generated_documents_hold_what_they_hold():
    assert_same(cut_anywhere(generated(1_000, seed=71), Random(71)))


@pytest.mark.slow
def test_ten_thousand_generated_documents_hold_what_they_hold():
    texts = generated(10_000, seed=72)
    assert_same(cut_anywhere(texts, Random(72)))
    assert_same([text.lower() for text in texts])


def conversations() -> list[str]:
    texts = []

    def take(value):
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, list | dict):
            for inner in value.values() if isinstance(value, dict) else value:
                take(inner)

    for path in sorted(Path(data_pipeline.__file__).with_name("samples").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                take(json.loads(line))
    return texts


def test_conversations_hold_what_they_hold_and_few_of_them_are_read():
    texts = conversations()
    assert len(texts) > 1_000
    assert assert_same(texts) < len(texts) / 4


@given(
    st.text(
        "ａ１—中国a0\u200b\u00ad·，①Ωж一二三八零 -\ud800" + "".join(map(chr, range(0x400, 0x4A0))),
        max_size=200,
    )
)
@example("一三八，零零一三")
def test_a_text_is_folded_alike_with_and_without_the_way_back(text):
    assert scannable(text) == scan(text).text


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_what_cannot_be_sieved_is_read(text):
    assert sieve.sieved(["", text]) == [sieve.EVERY, sieve.EVERY]


def test_types_that_contain_others_are_looked_for_everywhere():
    assert list(sifted(["", "x"], ["URL"])) == [("", sieve.EVERY), ("x", sieve.EVERY)]
    assert [match.span.type for match in find("见 www.example.org/a", ["URL"])] == ["URL"]


HARD = {
    "numbers": "138 ",
    "labels in words": "iphone",
    "labels in words, with values": "xphone: 1234567 ",
    "labels with nothing behind": "phone ",
    "names with dots": "姓名·",
    "stars": "*",
    "marks": "\0",
    "broken lines": "1\n",
}


@pytest.mark.parametrize("name", HARD)
def test_time_is_linear_where_the_sieve_has_most_to_do(name):
    def seconds(num_chars):
        text = HARD[name] * (num_chars // len(HARD[name]))
        began = time.process_time()
        find(text)
        return time.process_time() - began

    short, long = (min(seconds(num_chars) for _ in range(3)) for num_chars in (8_000, 16_000))
    assert long < 3 * short + 0.02, "twice the text took far more than twice the time"


def test_a_country_code_decides_on_a_subscriber_of_a_mobile_network():
    rng = Random(7)
    for code in range(1000):
        number = f"{code:03d}{rng.randrange(10**12):012d}"
        assert _is_country(number[:3]) == imsi.is_valid(number)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("INSERT INTO t (id, name) VALUES (7, 'Ann Smith')", "Ann Smith"),
        ("insert into t (name) values ('Ann Smith')", "Ann Smith"),
        ("姓名  手机\n张三  13800138000", "张三"),
        ("编号,姓名\n7,张三\n8,李四", "李四"),
    ],
)
def test_what_stands_far_from_its_label_passes(text, value):
    found = find(text)
    assert found == everything(text)
    assert value in [match.span.value(text) for match in found]
