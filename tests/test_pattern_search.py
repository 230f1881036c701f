"""Looking in few places finds what looking everywhere finds: regions, words in one pass, folds by runs."""

import json
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pii.folding import _compared, comparable, compare, scan
from pii.patterns import finder, shaped
from pii.patterns.labels import Labels, table
from pii.patterns.scanned import Scanned
from pii.patterns.vocabulary import Vocabulary, apart
from serving.files.json_text import Selection, parse_path

VALUES = (
    "13800138000",
    "+86 138-0013-8000",
    "(010) 6234 5678转123",
    "1 (212) 555-0199 ext. 45",
    "11010119900307851X",
    "110101 19900307 8515",
    "4111-1111-1111-1111",
    "A123456(7)",
    "5123456/7",
    "AB123456",
    "AB 12 34 56 C",
    "X1234567L",
    "12345678-Z",
    "123.456.789-09",
    "900101-1234567",
    "219-09-9999",
    "91350100M000100Y43",
    "9A 123456 AB12 34CD E",
    "RSSMRA85T10A562S",
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "1HGCM82633A004352",
    "490154203237518",
    "1101**********1234",
    "A123456789",
    "AB1234567",
    "912-70-1234",
    "BADD110313HCMLNS09",
    "529900T8BM49AURSDO55",
    "110101900307851",
    "911101086000037341",
    "192.168.3.7",
    "2026-07-12 10:43:12,123",
)
MARKS = (
    "",
    " ",
    ",",
    "，",
    "-",
    ".",
    "·",
    "(",
    ")",
    "/",
    "\n",
    "\r\n  ",
    "x",
    "X",
    "ext. 1",
    "+",
    ":",
    "号",
    "电话",
)
PIECES = st.sampled_from([*VALUES, *MARKS]) | st.text("0123456789 -.·()/xA", max_size=12)
WRITTEN = st.lists(PIECES, max_size=12).map("".join)


@given(WRITTEN, st.sampled_from(shaped._BY_RUN + shaped._BY_TOKEN))
@example("(010) 6234 5678转1234567 8901 2345 6789", shaped._BY_RUN[1])
def test_values_stand_in_their_regions_alone(text, shape):
    """The oracle searches all surroundings of digits."""
    scanned = Scanned(scan(text), finder.vocabulary())
    everywhere = list(shaped._in_regions(scanned, shape, scanned.regions.islands))
    if shape.token:
        looked = list(shaped._in_regions(scanned, shape, scanned.regions.tokens()))
    else:
        looked = [c for c in shaped._in_runs(scanned) if c.rule == shape.rule]
    assert looked == everywhere


@pytest.mark.parametrize("shape", shaped._BY_RUN + shaped._BY_TOKEN, ids=lambda shape: shape.rule)
def test_each_recogniser_finds_its_own_values_where_it_looks(shape):
    """Without a value of each, the comparison above would compare nothing with nothing."""
    values = [value for value in VALUES if shape.pattern.search(value)]
    assert values
    for value in values:
        regions = Scanned(scan(f"，{value}，"), finder.vocabulary()).regions
        runs = [run for run in regions.runs() if shape in shaped._of_digits(run.num_digits, run.longest)]
        assert regions.tokens() if shape.token else runs


@given(
    st.lists(st.sampled_from(["手", "手机", "手机号", "机号码", "码", "号码", "的", "x", " "])).map("".join)
)
def test_words_are_found_as_from_left_to_right(text):
    words = ("手机", "手机号", "机号", "机号码", "号码")
    expected, at = [], 0
    while at < len(text):
        best = max((word for word in words if text.startswith(word, at)), key=len, default="")
        expected += [(at, best)] if best else []
        at += len(best) or 1
    assert [(place.start, place.word) for place in apart(Vocabulary(words).places(text))] == expected


@given(
    st.lists(st.sampled_from(["email", "emails", "user id", "user", "id", "s", " ", "_", "姓名", "-1"])).map(
        "".join
    )
)
def test_english_labels_are_whole_words(text):
    labels = Labels(text, Vocabulary(table()).places(text))
    spaced = text.replace("_", " ")
    for label in labels.all:
        word = spaced[label.start : label.end]
        assert table()[word] == label.types
        if word.isascii():
            before, behind = spaced[label.start - 1 : label.start], spaced[label.end : label.end + 1]
            assert not ("a" <= before <= "z")
            assert not ("a" <= behind <= "z")


def test_lone_surrogates_hide_no_word():
    places = Vocabulary(["姓名", "uid"]).places("\ud800姓名\udfffuid")
    assert [(place.start, place.word) for place in places] == [(1, "姓名"), (4, "uid")]


@given(st.text("ab中国ß１Ａ \u0301\u0308.·\u200b", max_size=30))
@example("a\u0301中\u0301")
def test_runs_fold_as_their_letters_do(text):
    """The oracle folds letter by letter, each with its combining marks."""
    folded, start = [], 0
    while start < len(text):
        end = start + 1
        while end < len(text) and unicodedata.combining(text[end]):
            end += 1
        folded += [(piece, start, end) for piece in _compared(text[start:end])]
        start = end
    ours = compare(text)
    assert list(zip(ours.text, ours.offsets, ours.ends, strict=True)) == folded


@given(st.text("ａ１—中国a0\u200b·，①Ωжяéß" + "".join(map(chr, range(0x400, 0x440))), max_size=80))
def test_few_and_many_unusual_characters_are_made_plain_alike(text):
    parts = "".join(scan(char).text for char in text)
    assert scan(text).text == parts


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abt"), inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from(["text", "a", "entities", "手机号"]), JSON_VALUES))
def test_a_row_is_read_as_a_walk_through_it_reads_it(row):
    """Rows with one member to look at are decoded; where it stands is looked for when something changes."""
    content = json.dumps(row, ensure_ascii=False)

    def check(text):
        return text

    paths = {parse_path("text"): None}
    outcomes = []
    for selection in (
        Selection(paths, strict=True),
        Selection(paths | {parse_path("$.none"): None}, strict=True),
    ):
        try:
            found = selection.find(content, check)
            outcomes.append((found.slots, found.keys, found.placed(content)))
        except Exception as error:
            outcomes.append(error.code)
    assert outcomes[0] == outcomes[1]


@given(st.text("Ａß中a０·（）ﬁ \u0301\u200b", max_size=40) | st.text(max_size=60))
def test_a_text_is_made_comparable_as_its_letters_are(text):
    plain = unicodedata.normalize("NFKC", text).casefold()
    assert comparable(text) == "".join(char for char in plain if _compared(char))
