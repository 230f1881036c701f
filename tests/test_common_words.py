"""The table of everyday English words, which tells ``Okay`` from ``Megan``."""

from data_pipeline.common_words import common_words
from pii.common_words import is_common


def test_what_is_written_small_is_common() -> None:
    assert common_words(["the cat saw Megan, and the dog did not", "Okay, okay."]) == [
        "and", "cat", "did", "dog", "not", "okay", "saw", "the",
    ]  # fmt: skip


def test_what_is_written_large_inside_of_sentences_is_not() -> None:
    assert "grace" in common_words(["with grace", "by grace", "of grace", "hello Grace"])
    assert "grace" not in common_words(["with grace", "by grace", "hello Grace"])
    # At the beginning of a sentence every word has a capital.
    assert "grace" in common_words(["Grace is a gift. Grace helps. by grace"])


def test_the_table_knows_words_and_not_names() -> None:
    words = ["okay", "Technician", "SMART", "roof", "award", "margin"]
    names = ["Megan", "Johnson", "Jack", "Emily", "Kevin", "Zhang"]
    assert [is_common(word) for word in words + names] == [True] * len(words) + [False] * len(names)
