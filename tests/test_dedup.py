"""Near-duplicates and leaks: what must be noticed, and what must not."""

import random

from data_pipeline.dedup import HeldOut, NearDuplicates, bands, identifying_values, ngrams, signature, tokens
from pii.spans import Document, Span

NEWS = "新华社北京１月１日电（记者李明）今天上午在人民大会堂举行了隆重的新年茶话会，各界人士欢聚一堂共迎新年"


def labelled(before: str, value: str, kind: str, after: str = "", **meta: object) -> Document:
    start = len(before)
    return Document(before + value + after, (Span(start, start + len(value), kind),), meta=meta)


def test_tokens_are_words_of_latin_and_characters_of_chinese():
    assert tokens("我叫 Anna-Maria，38岁") == ["我", "叫", "anna", "maria", "38", "岁"]


def test_a_shared_run_of_tokens_is_a_leak_and_a_shorter_one_is_none():
    held = HeldOut(13, by_value=True)
    held.add(Document(NEWS))
    assert held.leak(Document("昨天，" + NEWS[12:30] + "。其他内容不同")) == "leak_by_ngram"
    assert held.leak(Document("昨天，" + NEWS[22:30] + "。其他内容完全不同，没有什么是一样的")) == ""


def test_a_value_that_points_at_one_person_leaks_in_any_surface():
    held = HeldOut(13, by_value=True)
    held.add(labelled("电话", "138-0013-8000", "PHONE_NUMBER", skeleton="x"))
    other = labelled("call me: ", "１３８ ００１３ ８０００", "PHONE_NUMBER", skeleton="y")
    assert held.leak(other) == "leak_by_value"
    assert HeldOut(13, by_value=False).leak(other) == ""


def test_places_and_short_names_belong_to_many():
    held = HeldOut(13, by_value=True)
    held.add(labelled("在", "北京市朝阳区", "LOCATION", skeleton="x"))
    held.add(labelled("叫", "小王", "PERSON_NAME", skeleton="x"))
    assert held.leak(labelled("去", "北京市朝阳区", "LOCATION", skeleton="y")) == ""
    assert held.leak(labelled("找", "小王", "PERSON_NAME", skeleton="y")) == ""
    assert not identifying_values(labelled("在", "北京市朝阳区", "LOCATION"))


def test_a_skeleton_leaks_whatever_its_values():
    held = HeldOut(13, by_value=True)
    held.add(labelled("我叫", "王小明", "PERSON_NAME", skeleton="f"))
    assert held.leak(labelled("我叫", "李大伟", "PERSON_NAME", skeleton="f")) == "leak_by_skeleton"


def test_merged_holds_what_each_of_them_held():
    one, two = HeldOut(13, by_value=True), HeldOut(13, by_value=True)
    two.add(Document(NEWS))
    one.merge(two)
    assert one.leak(Document(NEWS)) == "leak_by_ngram"


def test_a_short_text_is_one_run():
    assert len(ngrams("我叫张三", 13)) == 1
    assert len(ngrams("一二三四五六七八九十甲乙丙丁", 13)) == 2


def test_a_text_with_one_changed_character_is_a_near_duplicate_and_another_text_is_none():
    near = NearDuplicates()
    chance = random.Random(1)
    text, other = (
        "".join(chance.choices("的一是在不了有和人这中大为上个国我以要他", k=200)) for _ in range(2)
    )
    assert near.take(bands(text, 0.8, 64))
    assert near.take(bands(other, 0.8, 64))
    assert not near.take(bands(text[:100] + "变" + text[101:], 0.8, 64))


def test_bands_find_what_an_index_of_signatures_finds():
    """The oracle is datasketch's own index, which keeps the signatures."""
    from datasketch import LeanMinHash, MinHashLSH

    chance, near, index = random.Random(2), NearDuplicates(), MinHashLSH(threshold=0.8, num_perm=64)
    text, taken = "".join(chance.choices("的一是在不了有和人这中大为上个国我以要他", k=120)), 0
    for number in range(200):
        at = chance.randrange(len(text))
        text = text[:at] + chance.choice("甲乙丙丁戊己") + text[at + 1 :]
        sketch = LeanMinHash(seed=1, hashvalues=signature(text, 64), scheme="affine32")
        known = bool(index.query(sketch))
        assert near.take(bands(text, 0.8, 64)) is not known
        if not known:
            index.insert(number, sketch)
            taken += 1
    assert 5 < taken < 100


def test_a_signature_does_not_depend_on_the_process(tmp_path):
    # Python's own hash of strings is salted; xxhash is not.
    import subprocess
    import sys

    code = "from data_pipeline.dedup import signature; print(signature('我叫张三，电话13800', 16).tolist())"
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1
