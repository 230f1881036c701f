"""Windows: no character is lost, no window is too long, and spans come back as they were."""

import itertools
import time

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pii.spans import Document, Span
from pii.windows import Window, cut, gather, halves, localise
from tests.strategies import documents, texts

NAME, PHONE = "PERSON_NAME", "PHONE_NUMBER"

long_texts = st.lists(texts | st.sampled_from(["。", "\n\n", ". ", "，", "a" * 20]), max_size=8).map("".join)


@st.composite
def sizes(draw: st.DrawFn, min_margin: int = 0) -> tuple[int, int]:
    """A window's length and its margin."""
    margin = draw(st.integers(min_margin, 8))
    return draw(st.integers(2 * margin + 1, 2 * margin + 30)), margin


def tile(windows: list[Window], start: int, end: int) -> bool:
    """Whether the cores follow each other from start to end, each within its window."""
    borders = [start, *(w.core_end for w in windows)]
    return borders[-1] == end and all(
        w.core_start == border and w.start <= w.core_start < w.core_end <= w.end
        for w, border in zip(windows, borders, strict=False)
    )


@given(long_texts, sizes())
def test_cores_tile_the_text_and_windows_are_short_enough(text: str, size: tuple[int, int]) -> None:
    max_chars, margin = size
    windows = cut(text, max_chars, margin)
    assert tile(windows, 0, len(text))
    for window in windows:
        assert window.end - window.start <= max_chars
        assert window.start == max(0, window.core_start - margin)
        assert window.end == min(len(text), window.core_end + margin)


@given(texts, sizes())
def test_a_text_that_fits_is_one_window_and_an_empty_one_none(text: str, size: tuple[int, int]) -> None:
    assume(len(text) <= size[0])
    assert cut(text, *size) == ([Window(0, len(text), 0, len(text))] if text else [])


@pytest.mark.parametrize(("max_chars", "margin"), [(0, 0), (2, 1), (10, 5), (10, -1), (-1, 0)])
def test_a_margin_that_leaves_no_core_is_refused(max_chars: int, margin: int) -> None:
    with pytest.raises(ValueError, match="margin"):
        cut("text", max_chars, margin)


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("aaaaaa\nbb。cc", ["aaaaaa\n", "bb。cc"]),
        ("aaaaa。bb，cc", ["aaaaa。", "bb，cc"]),
        ("aaaaaa. b c", ["aaaaaa.", " b c"]),
        ("aaaaa3.14b c", ["aaaaa3.1", "4b c"]),
        ("aaaaa，b c d", ["aaaaa，", "b c d"]),
        ("aaaaa bccc d", ["aaaaa ", "bccc d"]),
        ("aaaaaaaaaaaa", ["aaaaaaaa", "aaaa"]),
        # A good place in the first half would make cores too short to be worth a call.
        ("a\naaaaaaaaaa", ["a\naaaaaa", "aaaa"]),
    ],
)
def test_a_core_ends_at_the_best_place_of_its_second_half(text: str, cores: list[str]) -> None:
    assert [text[w.core_start : w.core_end] for w in cut(text, 10, 2)] == cores


@given(documents(long_texts), sizes(min_margin=1))
@example(Document("a" * 50, (Span(1, 49, "ADDRESS"),)), (5, 2))
@example(Document("a" * 9, (Span(0, 5, "ADDRESS"), Span(5, 9, "ADDRESS"))), (5, 1))
def test_what_the_windows_show_comes_back_as_the_gold(document: Document, size: tuple[int, int]) -> None:
    """Spans of any length: within a core, over a cut, over many windows, next to each other."""
    windows = cut(document.text, *size)
    found = [localise(document.spans, window) for window in windows]
    for window, spans in zip(windows, found, strict=True):
        Document(document.text[window.start : window.end], spans)
    assert tuple(gather(windows, found)) == document.spans


@given(documents(long_texts), sizes(min_margin=0))
def test_without_a_margin_no_marked_character_is_lost(document: Document, size: tuple[int, int]) -> None:
    windows = cut(document.text, *size)
    gathered = gather(windows, [localise(document.spans, window) for window in windows])
    assert covered(gathered) == covered(document.spans)


def covered(spans: list[Span] | tuple[Span, ...]) -> set[tuple[int, str]]:
    return {(index, span.type) for span in spans for index in range(span.start, span.end)}


@given(documents(long_texts), sizes(min_margin=1), st.data())
def test_windows_that_were_halved_bring_back_the_gold_too(
    document: Document, size: tuple[int, int], data: st.DataObject
) -> None:
    max_chars, margin = size
    windows = cut(document.text, max_chars, margin)
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, max(0, len(windows) - 1)))
        split = halves(document.text, windows[at], margin) if windows else None
        # Cores of a few characters have no margin any more: see the test without a margin.
        if split and split[0].end > split[1].start:
            windows[at : at + 1] = split
    assert tile(windows, 0, len(document.text))
    found = [localise(document.spans, window) for window in windows]
    assert tuple(gather(windows, found)) == document.spans


def test_a_halved_window_that_shows_less_than_the_one_before_it_is_passed_over() -> None:
    """Its context shrinks, so that the window before it may reach further into the text."""
    windows = [
        Window(0, 14, 0, 9),
        Window(4, 12, 9, 11),
        Window(10, 13, 11, 12),
        Window(11, 19, 12, 19),
    ]
    gold = [Span(8, 15, NAME)]
    assert gather(windows, [localise(gold, window) for window in windows]) == gold


@given(long_texts, sizes())
def test_halves_tile_the_core_get_shorter_and_come_to_an_end(text: str, size: tuple[int, int]) -> None:
    open_windows = cut(text, *size)
    whole = []
    while open_windows:
        window = open_windows.pop()
        split = halves(text, window, size[1])
        if split is None:
            whole.append(window)
            continue
        assert tile(list(split), window.core_start, window.core_end)
        for half in split:
            assert half.end - half.start < window.end - window.start
            assert window.start <= half.start < half.end <= window.end
        open_windows += split
    assert all(w.core_end - w.core_start == 1 for w in whole)
    assert len(whole) == len(text)


TWO = [Window(0, 12, 0, 10), Window(8, 20, 10, 20)]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        # Each window answers for its own core.
        ([[Span(8, 9, NAME)], [Span(0, 1, NAME)]], [(8, 9, NAME)]),
        ([[Span(10, 12, NAME)], [Span(2, 5, NAME)]], [(10, 13, NAME)]),
        ([[], [Span(0, 2, NAME)]], []),
        # Over the cut: the second window goes on with what the first one saw in part.
        ([[Span(9, 12, NAME)], [Span(1, 6, NAME)]], [(9, 14, NAME)]),
        ([[Span(9, 12, NAME)], []], [(9, 12, NAME)]),
        ([[Span(9, 12, NAME)], [Span(1, 6, PHONE)]], [(9, 12, NAME)]),
        # The windows contradict each other.
        ([[Span(9, 12, NAME)], [Span(3, 6, NAME)]], [(9, 14, NAME)]),
        ([[Span(9, 12, NAME)], [Span(3, 6, PHONE)]], [(9, 12, NAME)]),
        ([[Span(9, 11, NAME)], [Span(3, 6, NAME)]], [(9, 11, NAME), (11, 14, NAME)]),
    ],
)
def test_who_answers_where_windows_overlap(
    found: list[list[Span]], expected: list[tuple[int, int, str]]
) -> None:
    assert [(s.start, s.end, s.type) for s in gather(TWO, found)] == expected


def test_what_a_span_knows_travels_with_it() -> None:
    span = Span(9, 12, NAME, subtype="x", score=0.5, source="model")
    (here,) = localise([span], TWO[1])
    (back,) = gather(TWO, [localise([span], w) for w in TWO])
    assert (here.start, here.end, here.score) == (1, 4, 0.5)
    assert (back.subtype, back.score, back.source) == ("x", 0.5, "model")


def test_each_window_has_its_answer() -> None:
    with pytest.raises(ValueError, match="zip"):
        gather(TWO, [[]])


def test_a_long_text_takes_no_time_to_speak_of() -> None:
    text = "电话13800138000，" * 20_000
    spans = [Span(start, start + 11, PHONE) for start in range(2, len(text), 14)]
    began = time.process_time()
    windows = cut(text, 400, 50)
    found = [localise(near(spans, window), window) for window in windows]
    assert gather(windows, found) == spans
    assert time.process_time() - began < 3


def near(spans: list[Span], window: Window) -> itertools.chain[Span]:
    """The spans around a window, so that the test does not measure its own search."""
    first, last = max(0, window.start // 14 - 2), window.end // 14 + 2
    return itertools.chain(spans[first:last])
