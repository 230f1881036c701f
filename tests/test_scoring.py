"""Scores: evidence of tokens, named features, probabilities, and what a calibration does in an extractor."""

import asyncio
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from pii import codec
from pii.errors import ModelFolderError, RequestError
from pii.model_folder import read_manifest, write_manifest
from pii.patterns import Match
from pii.spans import Span
from serving import evidence
from serving import extract as extract_command
from serving import redact as redact_command
from serving.app import create_app
from serving.candidates import VERSION, Candidate, candidates
from serving.engines.protocol import Generation
from serving.evidence import TokenEvidence, TokenLengths
from serving.extraction import Extraction
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from serving.scoring import contributions, probability, read_calibration, scored
from serving.settings import ServeConfig
from serving.tagger import Tagged
from serving.wording import wording

SEED = "我叫张三，电话13800138000"

# --- tokens to mentions -----------------------------------------------------------------------------


def generation(pieces: list[tuple[str, float]], finish: Any = "stop") -> tuple[Generation, tuple[int, ...]]:
    text = "".join(piece for piece, _ in pieces)
    made = Generation(text, tuple(range(len(pieces))), tuple(logprob for _, logprob in pieces), finish)
    return made, tuple(len(piece.encode()) for piece, _ in pieces)


def test_every_token_is_counted_once_and_in_its_part() -> None:
    answer = [
        ('{"entities":[{"type":"', -0.1),
        ("PERSON", -0.2), ("_NAME", -0.3), ('","value":"', 0.0),
        ("张", -0.5), ("三", -0.7), ('"}', -0.9),
        (',{"type":"', -1.1),
        ("URL", -1.3), ('","value":"', 0.0),
        ('x\\"', -1.5), ('"', -1.7), ("}", -1.9),
        ("]}", -2.1),
    ]  # fmt: skip
    made, num_bytes = generation(answer)
    first, second = evidence.read(made, num_bytes, 2)
    assert first is not None
    assert second is not None
    assert [round(v, 6) for v in (first.opening, first.type, first.value)] == [-0.1, -0.5, -2.1]
    # The brace behind the first value came with its quote; that of the second opens what follows.
    assert [round(v, 6) for v in (second.opening, second.type, second.value)] == [-1.1, -1.3, -3.2]
    assert (first.lowest, first.num_value_tokens) == (-0.9, 3)
    assert (second.lowest, second.num_value_tokens) == (-1.7, 2)
    assert first.total == pytest.approx(-2.7)


def test_a_token_may_be_a_part_of_a_character() -> None:
    text = '{"entities":[{"type":"URL","value":"张"}]}'
    head, tail = '{"entities":[{"type":"URL","value":"', '"}]}'
    lengths = (len(head), 2, 1, len(tail))
    made = Generation(text, (0, 1, 2, 3), (-1.0, -2.0, -4.0, -8.0), "stop")
    (known,) = evidence.read(made, lengths, 1)
    assert known is not None
    # All of the tail is one token, which begins with the closing quote.
    assert (known.opening, known.value, known.num_value_tokens) == (-1.0, -14.0, 3)


@pytest.mark.parametrize(
    ("pieces", "num_mentions"),
    [
        ([("I am sorry", -1.0)], 0),
        # Prose that looks like an entity, and an answer that reads as more mentions than it writes.
        ([('{"entities":[{"value":"a","type":"URL"}]}', -1.0)], 1),
    ],
)
def test_an_answer_of_another_shape_has_no_evidence(pieces: list[Any], num_mentions: int) -> None:
    made, num_bytes = generation(pieces)
    assert evidence.read(made, num_bytes, num_mentions) == (None,) * num_mentions


def test_tokens_that_are_no_bytes_have_no_evidence() -> None:
    made, num_bytes = generation([('{"entities":[{"type":"URL","value":"张"}]}', -1.0)])
    assert evidence.read(made, tuple(n - 2 for n in num_bytes), 1) == (None,)


def test_an_answer_cut_within_a_character_keeps_the_evidence_of_its_whole_entities() -> None:
    text = '{"entities":[{"type":"URL","value":"a"},{"type":"URL","value":"\ufffd'
    made = Generation(text, (0, 1), (-1.0, -2.0), "length")
    num_bytes = (len(text) - 1, 2)
    (known,) = evidence.read(made, num_bytes, len(codec.parse(text).mentions))
    assert known is not None


values = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(st.lists(st.tuples(st.sampled_from(("PERSON_NAME", "URL")), values), max_size=5))
def test_places_are_those_of_the_mentions(entities: list[tuple[str, str]]) -> None:
    text = "\x00".join(value for _, value in entities)
    spans, at = [], 0
    for kind, value in entities:
        spans.append(Span(at, at + len(value), kind))
        at += len(value) + 1
    answer = codec.render(text, spans)
    mentions, places = codec.parse(answer).mentions, codec.places(answer)
    assert len(mentions) == len(places)
    for mention, place in zip(mentions, places, strict=True):
        assert answer[place.type_start : place.type_end] == mention.type
        assert json.loads(f'"{answer[place.value_start : place.value_end]}"') == mention.value


def test_the_lengths_of_real_tokens_are_those_of_their_bytes(untrained_model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(untrained_model)
    lengths = TokenLengths(tokenizer)
    for text in (SEED, "😀 e\u0301 \u202eאבג", '{"entities":[]}', "<|im_end|>"):
        ids = tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
        # Not of the text itself: Qwen2's tokenizer composes letters and accents.
        assert sum(lengths(ids)) == len(tokenizer.decode(ids).encode())
        assert len(lengths(ids)) == len(ids)


# --- features ---------------------------------------------------------------------------------------

SURE = TokenEvidence(opening=-0.1, type=-0.2, value=-0.3, lowest=-0.2, num_value_tokens=2)


def matched(start: int, end: int, kind: str, evidence_: Any = "context", labelled: bool = False) -> Match:
    return Match(Span(start, end, kind, subtype="some_issuer", source="pattern"), evidence_, "test", labelled)


def features_of(found: tuple[Candidate, ...]) -> dict[tuple[int, int, str], dict[str, float]]:
    return {(c.span.start, c.span.end, c.span.type): dict(c.features) for c in found}


def test_what_both_found_is_one_candidate() -> None:
    span = Span(7, 18, "PHONE_NUMBER", source="model")
    (one,) = candidates(SEED, [span], [SURE], [matched(7, 18, "PHONE_NUMBER", labelled=True)])
    assert (one.span.source, one.span.subtype) == ("model+pattern", "some_issuer")
    assert one.features == {
        "found_by_model+pattern": 1.0, "model+pattern:PHONE_NUMBER": 1.0,
        "pattern_context": 1.0, "pattern_labelled": 1.0,
        "label_says_same": 1.0,
    } | {name: 1.0 for name in one.features if name == "check_holds"}  # fmt: skip


def test_how_sure_the_model_was_counts_where_it_stands_alone() -> None:
    unsure = replace(SURE, opening=-4.0)
    span = Span(7, 18, "PHONE_NUMBER", source="model")
    (alone,) = candidates(SEED, [span], [unsure], [])
    assert alone.features["opening_logprob"] == -4.0
    both = [candidates(SEED, [span], [sure], [matched(7, 18, "PHONE_NUMBER")]) for sure in (SURE, unsure)]
    assert both[0][0].features == both[1][0].features


def tagged_as(log_probabilities: list[list[float]], *spans: Span) -> Tagged:
    """What a tagger says that knows names alone: outside, first, further."""
    marked = tuple(replace(span, source="tagger") for span in spans)
    return Tagged(marked, marked, ("PERSON_NAME",), np.array(log_probabilities, np.float16))


def test_what_the_tagger_thinks_is_told_of_every_candidate_and_its_own_finds_are_some() -> None:
    text = "张三丰好"
    rows = [[-8.0, -0.5, -9.0], [-8.0, -9.0, -0.25], [-8.0, -9.0, -0.125], [0.0, -9.0, -9.0]]
    name, part, mail = Span(0, 3, "PERSON_NAME"), Span(0, 2, "PERSON_NAME"), Span(3, 4, "URL")
    made = candidates(text, [part, mail], [SURE, SURE], [], tagged_as(rows, name))
    by_span = {candidate.span: candidate for candidate in made}
    assert by_span[name].span.source == "tagger"
    assert by_span[part].span.source == "model"
    own, shorter, other = (by_span[span].features for span in (name, part, mail))
    assert (own["found_by_tagger"], own["tagger_begins"], own["tagger_inside"]) == (1.0, -0.5, -0.1875)
    # The tagger goes on where the shorter one ends.
    assert shorter["tagger_ends"] == shorter["tagger_lowest"] < -1.5
    assert own["tagger_ends"] > -0.01
    assert other["tagger_has_no_such_type"] == 1.0
    assert own["around_model"] == 1.0
    both = candidates(text, [name], [SURE], [], tagged_as(rows, name))
    assert [candidate.span.source for candidate in both] == ["model+tagger"]


def test_neighbours_speak_on_either_side() -> None:
    model = [Span(7, 12, "PHONE_NUMBER"), Span(12, 18, "QQ_NUMBER")]
    found = features_of(candidates(SEED, model, [SURE, None], [matched(7, 18, "PHONE_NUMBER", "checksum")]))
    shorter, other, pattern = (
        found[7, 12, "PHONE_NUMBER"], found[12, 18, "QQ_NUMBER"], found[7, 18, "PHONE_NUMBER"],
    )  # fmt: skip
    assert {
        "meets_pattern_same_type",
        "inside_pattern",
        "meets_pattern_checksum",
        "cuts_word",
    } <= shorter.keys()
    assert {"meets_pattern_other_type", "evidence_missing"} <= other.keys()
    assert {
        "meets_model_same_type",
        "meets_model_other_type",
        "around_model",
        "check_holds",
    } <= pattern.keys()
    assert pattern["met_model_logprob"] == pytest.approx(SURE.total)


def test_a_check_speaks_for_the_model_too() -> None:
    text = "110101199003074514 110101199003074515"
    from pii.identifiers import check

    verdicts = [check("NATIONAL_ID_NUMBER", value).valid for value in text.split()]
    spans = [Span(0, 18, "NATIONAL_ID_NUMBER"), Span(19, 37, "NATIONAL_ID_NUMBER")]
    found = candidates(text, spans, [None, None], [])
    for one, valid in zip(found, verdicts, strict=True):
        assert ("check_holds" in one.features, "check_fails" in one.features) == (
            valid is True,
            valid is False,
        )
        assert (one.span.subtype is not None) == (valid is True)
    assert False in verdicts


@pytest.mark.parametrize(
    ("text", "start", "end", "facts"),
    [
        ("家漏水了", 0, 3, {"name_form_han_other"}),
        ("以任何理由", 2, 4, {"name_form_han_family", "cuts_word"}),
        ("张漏水了", 0, 3, {"name_form_han_family"}),
        ("欧阳小明", 0, 4, {"name_form_han_family"}),
        ("古丽·木拉提", 0, 6, {"name_form_han_joined"}),
        ("Mary Ann Smith", 0, 14, {"name_form_latin_several"}),
        ("Megan said", 0, 5, {"name_form_latin_one"}),
        ("Okay, got it", 0, 4, {"name_form_latin_one", "common_word"}),
        ("Smart Home", 0, 10, {"name_form_latin_several", "common_words"}),
        ("Technician Megan", 0, 16, {"name_form_latin_several", "common_first_word"}),
        ("Megan Called", 0, 12, {"name_form_latin_several", "common_last_word"}),
        ("marcus lee", 0, 10, {"name_form_latin_small"}),
        ("Okay, got it", 1, 4, {"name_form_other", "cuts_word"}),
        ("张三，电话", 0, 5, {"name_form_other", "holds_mark"}),
        ("张三，电话", 0, 3, {"name_form_other", "holds_mark", "ends_in_mark"}),
    ],
)
def test_a_name_is_looked_at(text: str, start: int, end: int, facts: set[str]) -> None:
    assert wording(text, Span(start, end, "PERSON_NAME")).keys() == facts
    others = {fact for fact in facts if not fact.startswith(("name_form", "common"))}
    assert wording(text, Span(start, end, "ADDRESS")).keys() == others


def test_what_is_nobodys_is_no_candidate() -> None:
    text = "<date>拨打400-820-8820或13800138000</date>"
    model = [Span(1, 5, "PERSON_NAME"), Span(8, 20, "PHONE_NUMBER"), Span(21, 32, "PHONE_NUMBER")]
    (kept,) = candidates(text, model, [SURE] * 3, [])
    assert kept.span.value(text) == "13800138000"


def test_what_a_label_calls_nobodys_is_a_number_of_nobody() -> None:
    text = '{"waybill": "750045940302546", "phone": "13800138000"} 订单：张三'
    order, phone, name = text.index("75"), text.index("13"), text.index("张")
    model = [
        Span(order, order + 15, "BANK_ACCOUNT_NUMBER"),
        Span(phone, phone + 11, "PHONE_NUMBER"),
        Span(name, name + 2, "PERSON_NAME"),
    ]
    found = candidates(text, model, [SURE] * 3, [])
    assert [one.span.value(text) for one in found] == ["13800138000", "张三"]
    # What a pattern is sure of stays.
    kept = candidates(text, model[:1], [SURE], [matched(order, order + 15, "BANK_ACCOUNT_NUMBER")])
    assert [one.span.value(text) for one in kept] == ["750045940302546"]


def test_closing_tags_are_nobodys_too() -> None:
    text = "<Gender>男</Gender>"
    assert candidates(text, [Span(11, 17, "PERSON_NAME")], [SURE], []) == ()


@pytest.mark.parametrize(
    ("type", "says"),
    [("PHONE_NUMBER", "label_says_same"), ("QQ_NUMBER", "label_says_other")],
)
def test_what_the_label_says_is_a_fact(type: str, says: str) -> None:
    text = "手机：62551234"
    (one,) = candidates(text, [Span(3, 11, type)], [SURE], [])
    assert [name for name in one.features if name.startswith("label_says")] == [says]


def test_a_span_ends_where_a_tag_begins() -> None:
    text = '<?xml version="1.0" encoding="UTF-8"?><Row><addr>金桥路1号</addr></Row>'
    model = [
        Span(text.index("UTF"), text.index("UTF") + 5, "CREDENTIAL"),
        Span(text.index("Row>"), text.index("Row>") + 4, "PAYMENT_ACCOUNT"),
        Span(text.index("金"), text.index("</Row"), "ADDRESS"),
    ]
    (kept,) = candidates(text, model, [SURE] * 3, [])
    assert kept.span.value(text) == "金桥路1号"


def test_chinese_behind_a_code_is_not_part_of_it() -> None:
    text = "和CVV 847都告诉他了，京A12345警"
    model = [Span(5, 9, "CREDENTIAL"), Span(14, 22, "VEHICLE_PLATE_NUMBER")]
    code, plate = candidates(text, model, [SURE] * 2, [])
    assert (code.span.value(text), plate.span.value(text)) == ("847", "京A12345警")


def test_a_value_that_stands_twice_says_so() -> None:
    text = "张三：好\n李四：好\n张三：再见"
    model = [Span(0, 2, "PERSON_NAME"), Span(5, 7, "PERSON_NAME"), Span(10, 12, "PERSON_NAME")]
    found = candidates(text, model, [SURE] * 3, [])
    assert ["found_elsewhere" in one.features for one in found] == [True, False, True]


def test_what_a_neighbour_looks_like_speaks_too() -> None:
    text = "<mail>a@example.com</mail>"
    found = features_of(
        candidates(text, [Span(1, 19, "EMAIL_ADDRESS")], [SURE], [matched(6, 19, "EMAIL_ADDRESS", "shape")])
    )
    assert "holds_mark" in found[1, 19, "EMAIL_ADDRESS"]
    assert "met_holds_mark" in found[6, 19, "EMAIL_ADDRESS"]
    assert "met_holds_mark" not in found[1, 19, "EMAIL_ADDRESS"]


def test_surprise_is_bounded() -> None:
    endless = TokenEvidence(-math.inf, -math.inf, -math.inf, -math.inf, 1)
    (one,) = candidates(SEED, [Span(2, 4, "PERSON_NAME")], [endless], [])
    assert all(math.isfinite(value) for value in one.features.values())


# --- probabilities ----------------------------------------------------------------------------------


def test_contributions_are_the_terms_of_the_odds() -> None:
    weights = {"bias": -1.0, "a": 2.0, "b": -0.5, "unused": 9.0}
    parts = contributions(weights, {"b": 2.0, "a": 1.0, "without a weight": 5.0})
    assert parts == {"a": 2.0, "b": -1.0, "bias": -1.0}
    assert list(parts) == ["a", "b", "bias"]
    assert probability(weights, {"a": 1.0, "b": 2.0}) == pytest.approx(0.5)


@given(st.floats(-1e6, 1e6))
def test_a_probability_is_one_whatever_the_weight(weight: float) -> None:
    assert 0 <= probability({"bias": weight}, {}) <= 1


# --- in an extractor --------------------------------------------------------------------------------

POINTS = {"recall": 0.1, "balanced": 0.5, "precision": 0.9}
CALIBRATION: dict[str, Any] = {
    "version": VERSION,
    # Patterns are believed at 0.73, the model at 0.27.
    "weights": {"bias": -1.0, "found_by_pattern": 2.0, "found_by_model+pattern": 2.0},
    "operating_points": POINTS,
    "made_from": {},
    "facts": {},
}


@pytest.fixture(scope="module")
def extractor(untrained_model: Path) -> Any:
    config = ExtractorConfig(model=untrained_model, tagger=None, engine="transformers", max_new_tokens=48)
    with Extractor.open(config) as opened:
        yield opened


@pytest.fixture
def calibrated(extractor: Extractor, monkeypatch: pytest.MonkeyPatch) -> Extractor:
    assert extractor.manifest is not None
    manifest = extractor.manifest.model_copy(update={"calibration": CALIBRATION})
    monkeypatch.setattr(extractor, "_calibration", read_calibration(manifest))
    return extractor


def found(extractor: Extractor, threshold: Any = None) -> list[tuple[int, int, str]]:
    extraction = asyncio.run(extractor.extract(SEED, threshold=threshold))
    return [(s.start, s.end, s.type) for s in extraction.spans]


IN_SEED = {(2, 4, "PERSON_NAME"), (7, 18, "PHONE_NUMBER")}


def test_the_seed_text_survives_an_untrained_model(extractor: Extractor) -> None:
    assert set(found(extractor)) >= IN_SEED
    assert all(span.score is None for span in asyncio.run(extractor.extract(SEED)).spans)


def test_a_calibration_holds_for_its_own_tagger_alone(
    extractor: Extractor, caplog: pytest.LogCaptureFixture
) -> None:
    assert extractor.manifest is not None
    known = {**CALIBRATION, "made_from": {"tagger": "1"}}
    manifest = extractor.manifest.model_copy(update={"calibration": known})
    assert read_calibration(manifest, "1") is not None
    assert read_calibration(manifest, "2") is read_calibration(manifest) is None
    assert "another tagger" in caplog.text


def test_without_a_calibration_the_tagger_counts_for_nothing_and_changes_no_answer(
    extractor: Extractor, untrained_model: Path
) -> None:
    beside = ExtractorConfig(model=untrained_model, engine="transformers", max_new_tokens=48)
    texts = [SEED, "Anna Berg, anna.berg@example.com, met 王伟 in Berlin.", ""]
    alone = list(extractor.extract_all(texts))
    with Extractor.open(beside) as opened:
        found = list(opened.extract_all(texts))
    assert [one.spans for one in found] == [one.spans for one in alone]
    # It drafts what the model then writes, or not: the answer is the same, token for token.
    assert [one.answers for one in found] == [one.answers for one in alone]
    assert found[0].tagger_spans
    assert {c.span.source for c in found[1].candidates} - {c.span.source for c in alone[1].candidates}


def test_operating_points_and_thresholds(calibrated: Extractor) -> None:
    assert (
        set(found(calibrated)) == IN_SEED == set(found(calibrated, "balanced")) == set(found(calibrated, 0.7))
    )
    assert found(calibrated, "precision") == found(calibrated, 0.74) == []
    assert set(found(calibrated, "recall")) >= IN_SEED
    for span in asyncio.run(calibrated.extract(SEED)).spans:
        assert span.score == pytest.approx(1 / (1 + math.exp(-1)))


def test_redaction_hides_what_patterns_found_whatever_the_threshold(calibrated: Extractor) -> None:
    extraction = asyncio.run(calibrated.extract(SEED, threshold=0.99))
    assert extraction.spans == ()
    assert {(s.start, s.end, s.type) for s in extraction.suspected} == IN_SEED
    lower = asyncio.run(calibrated.extract(SEED, threshold=0.01))
    assert set(lower.suspected) == {candidate.span for candidate in lower.candidates}


def test_a_threshold_without_scores_is_refused(extractor: Extractor, calibrated: Extractor) -> None:
    for detectors in ("model", "patterns"):
        assert not calibrated.has_scores(detectors)  # type: ignore[arg-type]
        with pytest.raises(RequestError) as error:
            calibrated.plan(None, detectors, 0.5)  # type: ignore[arg-type]
        assert (error.value.code, error.value.place) == ("no_scores", "threshold")
    extractor._calibration = None
    with pytest.raises(RequestError, match="calibrated"):
        extractor.plan(None, None, "recall")


def test_a_calibration_of_other_features_gives_no_scores(
    untrained_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = read_manifest(untrained_model)
    older = manifest.model_copy(update={"calibration": {**CALIBRATION, "version": 0}})
    assert read_calibration(older) is None
    assert "pii calibrate" in caplog.text
    broken = manifest.model_copy(update={"calibration": {**CALIBRATION, "weights": "none"}})
    with pytest.raises(ModelFolderError, match="weights"):
        read_calibration(broken)


def test_scores_keep_the_rest_of_a_span() -> None:
    one = Candidate(Span(0, 2, "URL", subtype="x", source="model"), {})
    (told,) = scored([one], {"bias": 0.0})
    assert asdict(told.span) == asdict(one.span) | {"score": 0.5}


# --- over HTTP and in files -------------------------------------------------------------------------


@pytest.fixture
def client(calibrated: Extractor) -> Iterator[TestClient]:
    with TestClient(create_app(ServeConfig(), calibrated)) as made:
        yield made


def entities(client: TestClient, **members: Any) -> list[dict[str, Any]]:
    answer = client.post("/extract", json={"text": SEED, **members})
    assert answer.status_code == 200
    listed: list[dict[str, Any]] = answer.json()["entities"]
    return listed


def test_an_entity_tells_its_score_and_explains_it_where_that_is_asked(client: TestClient) -> None:
    plain, explained = entities(client), entities(client, explain=True)
    told = {"type", "value", "start", "end", "score", "source"}
    assert [set(entity) - {"subtype"} for entity in plain] == [told, told]
    for short, long in zip(plain, explained, strict=True):
        assert {key: long[key] for key in short} == short
        assert long["source"] in ("pattern", "model+pattern")
        assert sum(long["contributions"].values()) == pytest.approx(
            math.log(long["score"] / (1 - long["score"])), abs=1e-3
        )


def test_a_request_names_its_threshold(client: TestClient) -> None:
    assert entities(client, threshold=0.9) == entities(client, operating_point="precision") == []
    assert len(entities(client, threshold=0)) >= len(entities(client, operating_point="balanced")) == 2


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"threshold": 1.5}, "wrong_member"),
        ({"threshold": "high"}, "wrong_member"),
        ({"operating_point": "best"}, "wrong_member"),
        ({"threshold": 0.5, "operating_point": "recall"}, "threshold_or_point"),
        ({"threshold": 0.5, "detectors": "patterns"}, "no_scores"),
        ({"operating_point": "recall", "detectors": "model"}, "no_scores"),
    ],
)
def test_wrong_thresholds_are_named(client: TestClient, members: dict[str, Any], code: str) -> None:
    answer = client.post("/extract", json={"text": SEED, **members})
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert "张三" not in answer.text


def test_redaction_leans_to_recall(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    extract = Extractor.extract

    async def noted(
        self: Extractor, text: str, types: Any, detectors: Any, threshold: Any, *rest: Any
    ) -> Extraction:
        asked.append(threshold)
        return await extract(self, text, types, detectors, threshold, *rest)

    monkeypatch.setattr(Extractor, "extract", noted)
    for members in ({}, {"operating_point": "precision"}, {"detectors": "patterns"}):
        answer = client.post("/redact", json={"text": SEED, **members})
        assert "13800138000" not in answer.json()["text"]
    client.post("/extract", json={"text": SEED})
    # Where there are no scores, there is nothing to lean on.
    assert asked == ["recall", "precision", None, None]


def test_batch_commands_take_an_operating_point(
    untrained_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    model, rows = tmp_path / "model", tmp_path / "rows.jsonl"
    shutil.copytree(untrained_model, model)
    rows.write_text(json.dumps({"text": SEED}), encoding="utf-8")
    engine = [
        "--model",
        str(model),
        "--set",
        "extractor.engine=transformers",
        "--set",
        "extractor.tagger=null",
    ]

    def run(main: Any, out: str, *words: str) -> int:
        code: int = main([str(rows), "-o", str(tmp_path / out), *engine, *words])
        return code

    assert run(extract_command.main, "none", "--operating-point", "recall") == 2
    assert "--operating-point: " in capsys.readouterr().err
    manifest = read_manifest(model)
    write_manifest(model, manifest.model_copy(update={"calibration": CALIBRATION}))
    found = {}
    for point in ("balanced", "precision"):
        assert run(extract_command.main, point, "--operating-point", point) == 0
        row = json.loads((tmp_path / point).read_text(encoding="utf-8"))
        found[point] = [(e["start"], e["end"], e["type"]) for e in row["entities"]]
        assert all(set(entity) == {"type", "value", "start", "end"} for entity in row["entities"])
    assert set(found["balanced"]) == IN_SEED
    assert found["precision"] == []
    assert run(redact_command.main, "clean") == 0
    assert "13800138000" not in (tmp_path / "clean").read_text(encoding="utf-8")
