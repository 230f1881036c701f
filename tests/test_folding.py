"""Folding must lead back to the original: an offset that is off by one redacts the wrong character."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from pii.folding import compare, lowered, scan

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
TRICKY = st.text(st.sampled_from("1３٣一零〇張﷽ﬁİß\u200b\u00ad\ufeff－—（：@A \n"))


@given(ANY_TEXT | TRICKY)
def test_scan_is_one_to_one_with_the_visible_characters(text):
    folded = scan(text)
    assert len(folded.text) == len(folded.offsets)
    assert list(folded.offsets) == sorted(set(folded.offsets))
    dropped = set(range(len(text))) - set(folded.offsets)
    assert all(unicodedata.category(text[i]) in ("Cf", "Mn", "Cn") for i in dropped)


@given(ANY_TEXT | TRICKY)
def test_compare_never_points_outside_the_text(text):
    folded = compare(text)
    assert len(folded.text) == len(folded.offsets)
    assert all(0 <= offset < len(text) for offset in folded.offsets)


@given(ANY_TEXT | TRICKY)
def test_lowered_keeps_the_length(text):
    assert len(lowered(text)) == len(text)


def test_scan_reads_what_people_type_for_digits():
    assert scan("１３８").text == "138"
    assert scan("١٣٨").text == "138"
    assert scan("一三八零零一三八零零零").text == "13800138000"
    assert scan("一三八幺").text == "一三八幺", "a short run is a word, not a number"
    assert scan("138—0013－8000").text == "138-0013-8000"


def test_scan_drops_what_cannot_be_seen():
    folded = scan("a\u200b1\u20602")
    assert folded.text == "a12"
    assert folded.original(1, 3) == (2, 5)


def test_folded_text_does_not_show_in_a_repr():
    assert "138" not in repr(scan("13800138000"))
