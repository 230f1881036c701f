"""Grounding: gold comes back whole, nothing is invented, nothing is lost, and time stays bounded."""

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pii import codec
from pii.codec import Mention
from pii.grounding import ground
from pii.spans import Document, Span
from tests.strategies import documents, texts

Place = tuple[int, int]


def mentions_of(document: Document) -> list[Mention]:
    return [Mention(span.type, span.value(document.text)) for span in document.spans]


def named(*values: str) -> list[Mention]:
    return [Mention("PERSON_NAME", value) for value in values]


def places(text: str, *values: str) -> list[Place]:
    return [(span.start, span.end) for span in ground(text, named(*values)).spans]


# --- the definition, by brute force -----------------------------------------------------------------


def cuts(text: str, place: Place) -> int:
    """How many words a place cuts; a word is a run of cased letters and digits."""

    def inside(index: int) -> bool:
        around = text[max(index - 1, 0) : index + 1]
        return 0 < index < len(text) and all(
            c.isdecimal() or c.isupper() or c.islower() or c.istitle() for c in around
        )

    return inside(place[0]) + inside(place[1])


def occurrences(text: str, value: str) -> list[Place]:
    return [(i, i + len(value)) for i in range(len(text)) if text.startswith(value, i)]


def alignments(text: str, values: Sequence[str], behind: int = 0) -> Iterator[tuple[Place | None, ...]]:
    """Every way to place values in order and without overlap; None where a value is left out."""
    if not values:
        yield ()
        return
    for place in (None, *occurrences(text, values[0])):
        if place is None or place[0] >= behind:
            for rest in alignments(text, values[1:], place[1] if place else behind):
                yield (place, *rest)


def score(text: str, alignment: Sequence[Place | None]) -> tuple[int, int]:
    placed = [place for place in alignment if place]
    return len(placed), -sum(cuts(text, place) for place in placed)


def is_representable(document: Document) -> bool:
    """Whether values in order say where the spans are.

    They do when the gold is, among all ways to place every value in order, the one that cuts the fewest
    words and of those the one that ends furthest left, compared from the last span back to the first.
    """
    values = [span.value(document.text) for span in document.spans]
    whole = (a for a in alignments(document.text, values) if all(a))
    best = min(
        whole, key=lambda a: (-score(document.text, a)[1], [place[1] for place in reversed(a) if place])
    )
    return list(best) == [(span.start, span.end) for span in document.spans]


@given(documents(max_spans=3))
@example(Document("张三和张三", (Span(0, 2, "PERSON_NAME"), Span(3, 5, "PERSON_NAME"))))
@example(Document("A1234 1234", (Span(6, 10, "PHONE_NUMBER"),)))
@example(Document("李四 李", (Span(0, 2, "PERSON_NAME"), Span(3, 4, "PERSON_NAME"))))
def test_representable_gold_survives_render_parse_ground(document: Document) -> None:
    assume(is_representable(document))
    answer = codec.parse(codec.render(document.text, document.spans))
    grounding = ground(document.text, answer.mentions)
    assert (answer.problem, grounding.unplaced) == ("", ())
    assert grounding.spans == document.spans


@given(documents(st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)))
def test_gold_whose_values_stand_once_is_always_representable(document: Document) -> None:
    once = [s for s in document.spans if len(occurrences(document.text, s.value(document.text))) == 1]
    assume(once)
    mentions = mentions_of(Document(document.text, tuple(once)))
    assert ground(document.text, mentions).spans == tuple(once)


def test_gold_that_leaves_out_the_first_of_two_is_not_representable() -> None:
    assert not is_representable(Document("张三和张三", (Span(3, 5, "PERSON_NAME"),)))


small = st.text("ab1张 ", max_size=9)


@given(small, st.lists(st.text("ab1张 ", min_size=1, max_size=3), max_size=4))
def test_no_alignment_in_order_places_more_or_cuts_fewer_words(text: str, values: list[str]) -> None:
    """Against all alignments; mentions that only fit out of order come on top."""
    found = ground(text, named(*values)).spans
    most, _ = max(score(text, a) for a in alignments(text, values))
    assert len(found) >= most
    if len(values) == most:
        best = max(score(text, a) for a in alignments(text, values))
        assert score(text, [(span.start, span.end) for span in found]) == best


@given(texts, st.lists(texts, max_size=6))
def test_every_mention_is_placed_or_reported_and_no_span_overlaps(text: str, values: list[str]) -> None:
    mentions = [Mention(f"T{index}", value) for index, value in enumerate(values)]
    grounding = ground(text, mentions)
    assert Counter([s.type for s in grounding.spans] + [m.type for m in grounding.unplaced]) == Counter(
        m.type for m in mentions
    )
    assert list(grounding.unplaced) == [m for m in mentions if m in grounding.unplaced]
    Document(text, grounding.spans)  # sorted, without overlap, within the text
    for span in grounding.spans:
        value = values[int(span.type[1:])]
        assert span.value(text) == value or value not in text


@given(documents(max_spans=4), st.randoms(use_true_random=False))
def test_the_order_of_a_model_that_lost_it_costs_no_value_that_stands_alone(
    document: Document, rng: random.Random
) -> None:
    values = [span.value(document.text) for span in document.spans]
    spots = [p for value in values for p in occurrences(document.text, value)]
    assume(len(spots) == len(values))
    mentions = mentions_of(document)
    rng.shuffle(mentions)
    assert ground(document.text, mentions).spans == document.spans


# --- one case for each way to be right or wrong -----------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("", ["张三"], []),
        ("张三", [], []),
        ("张三", [""], []),
        ("张三", ["李四"], []),
        ("张三、张三、张三", ["张三", "张三"], [(0, 2), (3, 5)]),
        ("张三", ["张三", "张三"], [(0, 2)]),
        ("aaa", ["aa"], [(0, 2)]),
        ("aaaa", ["aa", "aa"], [(0, 2), (2, 4)]),
        # A value inside another value.
        ("王小明的父亲王小", ["王小明", "王小"], [(0, 3), (6, 8)]),
        ("李四说李", ["李四", "李"], [(0, 2), (3, 4)]),
        # A letter in a word is the last choice, but verbatim it is.
        ("at A, grade A", ["A"], [(3, 4)]),
        ("ID1234 1234", ["1234"], [(7, 11)]),
        ("ID1234", ["1234"], [(2, 6)]),
        ("Иванович Иван", ["Иван"], [(9, 13)]),
        ("１２３４ ２３", ["２３"], [(5, 7)]),
        # Chinese has no spaces: no cut is a word's.
        ("电话13800138000联系", ["13800138000"], [(2, 13)]),
        # One misplaced early mention does not push the others away.
        ("a1 b2 c3 d4", ["d4", "a1", "b2", "c3"], [(0, 2), (3, 5), (6, 8), (9, 11)]),
        ("a1 b2 c3", ["c3", "b2", "a1"], [(0, 2), (3, 5), (6, 8)]),
        # A hallucinated mention costs nothing.
        ("a1 b2", ["a1", "zz", "b2"], [(0, 2), (3, 5)]),
        # Most mentions first: the word is cut.
        ("xa a b", ["a", "b"], [(3, 4), (5, 6)]),
        ("xa b a", ["a", "b"], [(1, 2), (3, 4)]),
        # Two ways to cut one word: the one that ends further left.
        ("xa b a xb", ["a", "b"], [(1, 2), (3, 4)]),
        # Out of order and in the way of another, from either side.
        ("张三丰，甲", ["三丰", "甲", "张三"], [(1, 3), (4, 5)]),
        ("甲，张三丰", ["三丰", "甲", "张三"], [(0, 1), (2, 4)]),
    ],
)
def test_exact_places(text: str, values: list[str], expected: list[Place]) -> None:
    assert places(text, *values) == expected


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("电话１３８００１３８０００", "13800138000", "１３８００１３８０００"),
        ("call 138-0013 8000.", "13800138000", "138-0013 8000"),
        ("call 13800138000", "138 0013 8000", "13800138000"),
        ("ring 138\u200b0013\u200b8000", "13800138000", "138\u200b0013\u200b8000"),
        ("to JOHN SMITH", "John Smith", "JOHN SMITH"),
        ("Straße 5", "STRASSE 5", "Straße 5"),
        ("卡号：6222 0000", "62220000", "6222 0000"),
        ("Jose\u0301 L", "José L", "Jose\u0301 L"),
        ("by José.", "Jose\u0301", "José"),
        ("Jose\u0301", "José", "Jose\u0301"),
        ("q\u0307\u0323", "q\u0323\u0307", "q\u0307\u0323"),
        ("in İzmir", "i\u0307zmir", "İzmir"),
        # What only looks like it.
        ("A12345", "1-2-3", None),
        ("smithson", "Smith", None),
        ("１２３４", "23", None),
        ("½ cup", "1", None),
        ("ﬁle", "i", None),
        ("a-b", "--", None),
        ("anything", "\u200b", None),
    ],
)
def test_folded_places_are_whole_words_or_nothing(text: str, value: str, expected: str | None) -> None:
    grounding = ground(text, named(value))
    assert [span.value(text) for span in grounding.spans] == ([expected] if expected else [])
    assert len(grounding.unplaced) == (0 if expected else 1)


def test_an_exact_place_wins_over_an_earlier_folded_one() -> None:
    assert places("张 三，张三", "张三") == [(4, 6)]


def test_types_stay_with_their_values() -> None:
    mentions = [Mention("ADDRESS", "b"), Mention("PERSON_NAME", "a")]
    assert ground("a b", mentions).spans == (Span(0, 1, "PERSON_NAME"), Span(2, 3, "ADDRESS"))


def test_offsets_that_a_model_wrote_are_not_trusted() -> None:
    assert ground("张三", [Mention("PERSON_NAME", "张三", 7, 3)]).spans == (Span(0, 2, "PERSON_NAME"),)


def test_a_mention_does_not_show_its_value() -> None:
    assert "张三" not in repr(ground("李四", named("张三")))


# --- time -------------------------------------------------------------------------------------------

NOISE = "".join(random.Random(0).choices("ab 李1", k=20_000))


@pytest.mark.parametrize(
    ("text", "values", "num_placed"),
    [
        ("a" * 20_000, ["a"] * 500, 500),
        ("李" * 20_000, ["李李"] * 500, 500),
        ("李四" * 10_000, ["四 李"] * 300, 300),
        (NOISE, [NOISE[i : i + 3] for i in range(0, 20_000, 50)], 400),
        (NOISE, [NOISE[i : i + 3] for i in range(19_900, 0, -50)], 398),
    ],
    ids=["letters", "pairs", "folded", "in order", "reversed"],
)
def test_hundreds_of_mentions_in_a_long_text_take_seconds_at_most(
    text: str, values: list[str], num_placed: int
) -> None:
    """A model that repeats itself may not stop a service. Measured: 0.1 to 0.9 s on a shared core."""
    began = time.process_time()
    spans = ground(text, named(*values)).spans
    assert time.process_time() - began < 5
    assert len(spans) == num_placed
