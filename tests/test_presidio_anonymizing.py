"""Anonymizing as Presidio does it: its own engine is the oracle."""

import logging
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pii.errors import RequestError
from serving.presidio.anonymizing import Result, operate, without_conflicts
from serving.presidio.operators import ANONYMIZERS, DEANONYMIZERS
from tests.strategies import texts

logging.getLogger("presidio-anonymizer").setLevel(logging.CRITICAL)

OPERATORS: dict[str, dict[str, Any]] = {
    "A": {"type": "replace", "new_value": "ANONYMIZED"},
    "B": {"type": "mask", "masking_char": "*", "chars_to_mask": 2, "from_end": True},
    "C": {"type": "redact"},
    "D": {"type": "hash", "hash_type": "sha512", "salt": "0123456789abcdef"},
    "E": {"type": "keep"},
}


def ours(text: str, results: list[Result], configured: dict[str, dict[str, Any]]) -> dict[str, Any]:
    chosen = {"DEFAULT": {"type": "replace"}, **configured}
    operators = {type: (own["type"], ANONYMIZERS[own["type"]](own)) for type, own in chosen.items()}
    return operate(text, without_conflicts(text, results), operators)


def theirs(text: str, results: list[Result], configured: dict[str, dict[str, Any]]) -> dict[str, Any]:
    from presidio_anonymizer import AnonymizerEngine
    from presidio_anonymizer.entities import OperatorConfig, RecognizerResult

    done = AnonymizerEngine().anonymize(
        text,
        [RecognizerResult(r.type, r.start, r.end, r.score) for r in results],
        {type: OperatorConfig.from_json(dict(own)) for type, own in configured.items()},
    )
    return {"text": done.text, "items": [item.to_dict() for item in done.items]}


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, list[Result]]:
    text = draw(st.text("ab 张三", min_size=1, max_size=12) | texts.filter(bool))
    results = []
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(text) - 1))
        end = draw(st.integers(start + 1, len(text)))
        score = draw(st.sampled_from([0.2, 0.5, 0.9]))
        results.append(Result(start, end, draw(st.sampled_from("ABCDEF")), score))
    return text, results


@given(cases())
@example(("ab ab", [Result(0, 2, "A", 0.5), Result(3, 5, "A", 0.9)]))
@example(("ababab", [Result(0, 4, "A", 0.5), Result(2, 6, "B", 0.9)]))
@example(("abab", [Result(0, 4, "A", 0.5), Result(0, 4, "B", 0.5), Result(1, 2, "C", 0.9)]))
def test_text_and_items_are_those_of_presidio(case: tuple[str, list[Result]]) -> None:
    text, results = case
    assert ours(text, results, OPERATORS) == theirs(text, results, OPERATORS)


@pytest.mark.parametrize("key", ["k" * 16, "k" * 24, "k" * 32])
def test_either_side_opens_what_the_other_sealed(key: str) -> None:
    from presidio_anonymizer.operators import Decrypt, Encrypt

    text = "张三😀\n" * 9
    sealed = ANONYMIZERS["encrypt"]({"key": key})(text, "A")
    assert text not in sealed
    assert Decrypt().operate(sealed, {"key": key}) == text
    assert DEANONYMIZERS["decrypt"]({"key": key})(Encrypt().operate(text, {"key": key}), "A") == text


def test_hashes_without_a_salt_of_the_caller_differ_each_time() -> None:
    hashed = ANONYMIZERS["hash"]({})
    assert hashed("张三", "A") != hashed("张三", "A")


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("mask", {"masking_char": "**", "chars_to_mask": 2, "from_end": True}),
        ("mask", {"masking_char": "*", "chars_to_mask": True, "from_end": True}),
        ("mask", {"masking_char": "*"}),
        ("hash", {"hash_type": "md5"}),
        ("hash", {"salt": "short"}),
        ("encrypt", {"key": "张三"}),
        ("encrypt", {}),
        ("replace", {"new_value": 5}),
    ],
)
def test_wrong_parameters_are_refused_without_being_quoted(name: str, parameters: Any) -> None:
    with pytest.raises(RequestError) as refused:
        ANONYMIZERS[name](parameters)
    assert "张三" not in str(refused.value)


@pytest.mark.parametrize("sealed", ["", "张三", "AAAA", "A" * 44, "!" * 44])
def test_what_does_not_open_is_refused(sealed: str) -> None:
    with pytest.raises(RequestError):
        DEANONYMIZERS["decrypt"]({"key": "k" * 16})(sealed, "A")


def test_a_hundred_thousand_results_take_a_moment() -> None:
    """Presidio's own engine copies the text once for each of them."""
    text = "ab " * 100_000
    results = [Result(at, at + 2, "A" if at % 2 else "B", 0.5) for at in range(0, 300_000, 3)]
    assert len(ours(text, results, {})["items"]) == 100_000
