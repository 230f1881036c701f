"""Pools keep everything once, ordered by content alone; workers keep the order of tasks."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from data_pipeline.parallel import Workers
from data_pipeline.pool import Pool
from data_pipeline.splits import content_key, synthetic_split
from pii.spans import Document


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=20), st.randoms())
def test_the_order_is_that_of_the_keys_whatever_the_order_of_arrival(tmp_path_factory, texts, chance):
    folder = tmp_path_factory.mktemp("pool")
    shuffled = list(texts)
    chance.shuffle(shuffled)
    with Pool(folder / "a") as one, Pool(folder / "b") as two:
        for text in texts:
            one.add(content_key(1, text), {"text": text})
        fresh = [two.add(content_key(1, text), {"text": text}) for text in shuffled]
        assert sum(fresh) == len(set(texts)) == len(one)
        assert list(one.lines()) == list(two.lines())
        assert list(one.lines(2)) == list(one.lines())[2:]
    assert not list(folder.iterdir())


def test_another_seed_gives_another_order():
    assert content_key(1, "a") != content_key(2, "a")


def test_the_split_of_a_synthetic_document_is_its_family():
    def split(template, foreign=False):
        return synthetic_split(Document("x", meta={"template": template, "foreign": foreign}), 1, 0.1)

    splits = [split(f"family-{i}") for i in range(2000)]
    assert 140 < splits.count("test") < 260
    assert 140 < splits.count("validation") < 260
    assert [split(f"family-{i}") for i in range(2000)] == splits
    assert split("family-1", foreign=True) == "foreign"


_base = 0


def set_base(base: int) -> None:
    global _base
    _base = base


def add_base(number: int) -> int:
    return _base + number


def test_results_come_in_the_order_of_tasks_and_endless_tasks_are_read_as_needed():
    for count in (1, 2):
        with Workers(count, set_base, 100) as workers:
            results = workers.map(add_base, itertools.count())
            assert list(itertools.islice(results, 50)) == list(range(100, 150))
