"""A value that was found once is found wherever it stands, and nowhere by accident."""

import asyncio
import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pii.recurrence import Seeker, further, joined, standing, worth_seeking
from pii.redaction import redact_verified
from pii.spans import Span
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig


def found(text: str, *values: tuple[str, str]) -> list[Span]:
    """The first occurrence of each value."""
    starts = [(text.index(value), value, kind) for value, kind in values]
    return sorted(Span(start, start + len(value), kind, score=0.9) for start, value, kind in starts)


def again(text: str, *values: tuple[str, str]) -> list[tuple[int, int, str]]:
    return [(span.start, span.end, span.type) for span in further(text, found(text, *values))]


NAME, PLACE = "PERSON_NAME", "LOCATION"


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("张三来了，张三又走了", [("张三", NAME)], [(5, 7, NAME)]),
        ("Anna met Annabel and Anna.", [("Anna", NAME)], [(21, 25, NAME)]),
        ("Anna met annA, ANNA and anna", [("Anna", NAME)], []),
        ("An Anna_1 of xAnna", [("An", NAME), ("Anna", NAME)], []),
        ("Anna和Anna在一起", [("Anna", NAME)], [(5, 9, NAME)]),
        ("Lee saw Lee", [("Lee", NAME)], []),
        ("王说王好", [("王", NAME)], []),
        ("张三丰和张三：张三丰、张三", [("张三丰", NAME), ("张三：", NAME)], [(7, 10, NAME)]),
        ("张三和张三丰，又是张三丰", [("张三", NAME), ("张三丰", NAME)], [(9, 12, NAME)]),
        ("", [], []),
    ],
    ids=["chinese", "word", "case", "inside a word", "latin beside chinese", "short latin", "one character",
         "longer first", "longer of two", "empty"],
)  # fmt: skip
def test_where_a_value_stands_again(
    text: str, values: list[tuple[str, str]], expected: list[tuple[int, int, str]]
) -> None:
    assert again(text, *values) == expected


def test_a_repetition_tells_where_it_came_from_and_takes_the_surest_type() -> None:
    text = "Paris, Paris, Paris"
    spans = [Span(0, 5, NAME, score=0.4), Span(7, 12, PLACE, score=0.8, subtype="x")]
    assert further(text, spans) == [Span(14, 19, PLACE, subtype="x", score=0.8, source="propagated")]


@given(st.text("ab张三 .", max_size=60), st.data())
def test_repetitions_are_the_values_and_touch_nothing(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)))
    known = [Span(a, b, NAME) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
    repeated = further(text, known)
    values = {span.value(text) for span in known}
    assert all(span.value(text) in values for span in repeated)
    everything = sorted([*known, *repeated])
    assert all(one.end <= other.start for one, other in itertools.pairwise(everything))


@given(st.text("ab张三 .", max_size=60), st.data())
def test_the_longest_value_that_is_a_word_repeats_at_each_place(text: str, data: st.DataObject) -> None:
    """The oracle tries every value at every place."""
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)))
    known = [Span(a, b, NAME) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
    values = sorted({span.value(text) for span in known if worth_seeking(span.value(text))}, key=len)[::-1]
    taken = {at for span in known for at in range(span.start, span.end)}
    expected, done = [], 0
    for start in range(len(text)):
        for value in values if start >= done else ():
            end = start + len(value)
            cut = joined(value[0], text[start - 1 : start]) or joined(value[-1], text[end : end + 1])
            if text.startswith(value, start) and taken.isdisjoint(range(start, end)) and not cut:
                expected.append(Span(start, end, NAME))
                done = end
                break
    assert further(text, known) == expected


def test_many_values_in_a_long_text_take_no_longer_than_few() -> None:
    """Each of fifty thousand values stands twice: looking for one after the other would take minutes."""
    values = [f"用户{number:05}号" for number in range(50_000)]
    text = "、".join(values) + "\n" + "、".join(values)
    spans, width = [], len(values[0]) + 1
    for number in range(len(values)):
        spans.append(Span(number * width, number * width + width - 1, "USERNAME"))
    began = time.process_time()
    assert len(further(text, spans)) == len(values)
    assert time.process_time() - began < 20


@given(st.sets(st.text("ab张", min_size=1, max_size=4), max_size=6), st.text("ab张", max_size=20))
def test_looking_for_all_at_once_is_looking_for_each(values: set[str], text: str) -> None:
    each = {(at, value) for value in values for at in range(len(text)) if text.startswith(value, at)}
    found = list(Seeker(values).places(text))
    assert set(found) == each
    assert len(found) == len(each)
    padded = values | {f"x{number}" for number in range(100)}
    assert standing(values, text) == standing(padded, text) == {value for _, value in each}


def test_redaction_of_many_values_takes_time_in_proportion() -> None:
    """Of a megabyte of a table of numbers, each was sought in the whole text: minutes."""

    def seconds(count: int) -> float:
        values = [f"用户{number:05}号" for number in range(count)]
        # Some stand once more, where nobody marked them.
        text = "、".join(values) + "。" + "、".join(values[::10])
        width = len(values[0]) + 1
        spans = [Span(n * width, n * width + width - 1, "USERNAME") for n in range(count)]
        began = time.process_time()
        done = redact_verified(text, spans)
        assert done.num_escalated == count // 10
        assert "号" not in done.redacted.text
        return time.process_time() - began

    few = min(seconds(1000) for _ in range(3))
    assert seconds(8000) < 20 * few


def test_a_request_decides_and_otherwise_the_recipe() -> None:
    # What stands behind the first mark is a password because of it; elsewhere nothing says so.
    text = "密码：Qx7mzp2w 之后请用 Qx7mzp2w 登录"
    for configured in (False, True):
        with Extractor.open(ExtractorConfig(detectors="patterns", propagate=configured)) as extractor:
            both = asyncio.run(extractor.extract(text, propagate=True))
            one = asyncio.run(extractor.extract(text, propagate=False))
            other = asyncio.run(extractor.extract(text, types=["PHONE_NUMBER"], propagate=True))
            assert [span.value(text) for span in both.spans] == ["Qx7mzp2w"] * 2
            assert both.spans[1] == both.propagated_spans[0]
            assert both.spans[1].source == "propagated"
            assert both.spans[1] in both.suspected
            assert len(one.spans) == 1
            assert other.spans == ()
            batch = next(iter(extractor.extract_all([text])))
            assert len(batch.spans) == 1 + configured
