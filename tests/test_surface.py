"""Forms and noise: whatever they do to a text, every span still covers its value."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipeline.noise import NOISES
from data_pipeline.scene import Piece, assemble, skeleton
from data_pipeline.surface import FORMS, apply_form, suitable
from data_pipeline.values import kinds

MOBILE = Piece("13800138000", "PHONE_NUMBER", "cn_mobile", "phone")
RESIDENT = Piece("11010519491231002X", "NATIONAL_ID_NUMBER", "cn_resident_id", "id")

plain_pieces = st.builds(Piece, st.text(min_size=1, max_size=12))
value_pieces = st.builds(
    Piece,
    st.text("0123456789ABxy@.-张三路号", min_size=1, max_size=20),
    st.sampled_from(["PHONE_NUMBER", "PERSON_NAME", "ADDRESS", "CREDENTIAL"]),
    st.sampled_from(sorted({kind for row in FORMS.values() for kind in row.kinds})),
    st.just("slot"),
)
pieces_of_a_text = st.lists(plain_pieces | value_pieces, max_size=8)


def values(pieces: list[Piece]) -> list[tuple[str, str]]:
    return [(p.type, p.text) for p in pieces if p.type]


@given(pieces_of_a_text, st.sampled_from(sorted(FORMS)), st.integers(0, 2**32))
def test_forms_keep_spans_on_their_values(pieces: list[Piece], form: str, seed: int) -> None:
    written = apply_form(pieces, form, Random(seed))
    text, spans, _ = assemble(written)
    assert [(s.type, s.value(text)) for s in spans] == values(written)
    assert [p.text for p in written if not p.type] == [p.text for p in pieces if not p.type]
    assert [p.type for p in written] == [p.type for p in pieces]


@given(pieces_of_a_text, st.sampled_from(sorted(NOISES)), st.integers(0, 2**32))
def test_noise_keeps_spans_on_their_values(pieces: list[Piece], noise: str, seed: int) -> None:
    spoiled = NOISES[noise](pieces, Random(seed))
    text, spans, _ = assemble(spoiled)
    assert [(s.type, s.value(text)) for s in spans] == values(spoiled)
    assert [p.type for p in spoiled if p.kind] == [p.type for p in pieces if p.kind]
    if noise not in ("wide_characters", "lower_case"):
        assert values(spoiled) == values(pieces)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("dashed", {"138-0013-8000", "138‐0013‐8000", "138–0013–8000", "138－0013－8000"}),
        ("dotted", {"138.0013.8000", "138·0013·8000"}),
        ("fullwidth", {"１３８００１３８０００"}),
    ],
)
def test_forms_of_a_mobile_number(form: str, expected: set[str]) -> None:
    written = {apply_form([MOBILE], form, Random(seed))[0].text for seed in range(60)}
    assert written <= expected
    assert len(written) > 1 or len(expected) == 1


def test_country_code_is_part_of_the_value() -> None:
    written = {apply_form([MOBILE], "country_code", Random(seed))[0].text for seed in range(300)}
    assert {"+8613800138000", "+86 13800138000", "008613800138000", "（86）13800138000"} <= written


def test_chinese_digits_read_back() -> None:
    back = str.maketrans("零幺一二三四五六七八九壹贰叁肆伍陆柒捌玖", "01123456789123456789")
    for seed in range(100):
        written = apply_form([MOBILE], "chinese_digits", Random(seed))[0].text.translate(back)
        assert "".join(c for c in written if c.isdigit()) == MOBILE.text


def test_masks_hide_some_characters_and_leave_some() -> None:
    for seed in range(100):
        written = apply_form([RESIDENT], "masked", Random(seed))[0].text
        assert written != RESIDENT.text
        assert any(c.isdigit() for c in written)
    assert apply_form([Piece("张三", "PERSON_NAME", "full_name")], "masked", Random(1))[0].text[0] == "张"


def test_forms_leave_values_of_other_kinds_alone() -> None:
    secret = Piece("S3cret!pw", "CREDENTIAL", "password", "password")
    for form in FORMS:
        assert apply_form([secret], form, Random(1)) == [secret]


def test_only_suitable_forms_are_offered() -> None:
    shares = dict.fromkeys(FORMS, 1.0) | {"bare": 1.0}
    offered = suitable([Piece("a")], shares)
    assert offered == {"bare": 1.0}
    assert "country_code" in suitable([MOBILE], shares)
    assert "country_code" not in suitable([RESIDENT], shares)


def test_every_kind_of_the_matrix_exists() -> None:
    assert {kind for row in FORMS.values() for kind in row.kinds} <= set(kinds())


def test_skeleton_ignores_values_and_sees_wording() -> None:
    one = [Piece("电话"), MOBILE]
    other = [Piece("电话"), Piece("13900139000", "PHONE_NUMBER", "cn_mobile", "phone")]
    assert skeleton(one) == skeleton(other)
    assert skeleton(one) != skeleton([Piece("手机"), MOBILE])
