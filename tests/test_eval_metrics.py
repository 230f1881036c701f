"""Every metric against a table worked out by hand, against seqeval, and under hypothesis."""

import itertools
import os
import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation import bench_scoring, crosscheck, matching, metrics, scoring, tokens
from evaluation.metrics import Case, tabulate
from pii.spans import Document, Span
from pii.taxonomy import shipped

NAME, PHONE, MAIL = "PERSON_NAME", "PHONE_NUMBER", "EMAIL_ADDRESS"
TAXONOMY = shipped()


def document(text, *triples, **facts):
    return Document(text, tuple(sorted(Span(*t) for t in triples)), **facts)


def case(text, gold, predicted, **facts):
    return Case(document(text, *gold, **facts), tuple(Span(*t) for t in predicted))


def scored(*cases, **options):
    return scoring.score(cases, TAXONOMY, num_resamples=options.pop("num_resamples", 0), **options)


def rates(report, mode="strict"):
    return tuple(report[mode][rate]["value"] for rate in ("precision", "recall", "f1"))


#       0    5    10   15   20
TEXT = "我叫张三，电话13800138000，你好"
GOLD = [(2, 4, NAME), (7, 18, PHONE)]


def test_all_modes_on_one_document_by_hand():
    # One span right, one cut short by three characters, one invented.
    report = scored(
        case(TEXT, GOLD, [(2, 4, NAME), (7, 15, PHONE), (19, 20, NAME)]), iou_thresholds=(0.5, 0.75)
    )
    assert rates(report) == (0.3333, 0.5, 0.4)
    assert rates(report, "exact") == (0.3333, 0.5, 0.4)
    assert rates(report, "partial") == (0.5, 0.75, 0.6)
    assert rates(report, "type") == (0.6667, 1.0, 0.8)
    assert rates(report, "iou_0.50") == (0.6667, 1.0, 0.8)  # 8 of 11 characters: 0.727
    assert rates(report, "iou_0.75") == (0.3333, 0.5, 0.4)
    assert rates(report, "characters") == (round(10 / 11, 4), round(10 / 13, 4), round(20 / 24, 4))
    # Tokens: 张, 三 and the whole number, of which the shorter span touches the one token; 你 is wrong.
    assert rates(report, "tokens") == (0.75, 1.0, round(6 / 7, 4))
    assert report["partial"]["counts"] == {
        "correct": 1, "partial": 1, "incorrect": 0, "missed": 0, "spurious": 1,
    }  # fmt: skip
    assert report["errors"] == {"boundary": 1, "correct": 1, "spurious": 1}
    assert report["by_type"][PHONE]["f1"]["value"] == 0
    assert report["by_type"][NAME] | {"precision": 0, "recall": 0, "f1": 0, "leaked_characters": 0} == {
        "num_gold": 1, "num_predicted": 2, "num_correct": 1, "num_false_alarms": 1,
        "precision": 0, "recall": 0, "f1": 0, "leaked_characters": 0,
    }  # fmt: skip


def test_macro_is_the_mean_over_types_that_have_gold():
    # F1 of names 1, of phones 0; the invented mail address has no gold and so no F1.
    report = scored(case(TEXT, GOLD, [(2, 4, NAME), (19, 21, MAIL)]))
    assert report["strict"]["macro_f1"] == 0.5


def test_what_is_not_defined_is_null_and_not_zero():
    report = scored(case("你好", [], []))
    assert rates(report) == (None, None, None)
    assert report["false_alarms"]["per_free_document"]["value"] == 0
    assert "leakage" not in report
    missed = scored(case(TEXT, GOLD, []))
    assert rates(missed) == (None, 0, 0)


def test_types_that_a_document_does_not_label_are_unknown_and_not_wrong():
    only_names = case(TEXT, [(2, 4, NAME)], [(2, 4, NAME), (7, 18, PHONE)], types=(NAME,))
    report = scored(only_names)
    assert rates(report) == (1, 1, 1)
    assert report["num_out_of_scope"] == 1


def test_confusion_names_the_partner():
    report = scored(case(TEXT, GOLD, [(2, 4, PHONE)]))
    assert report["confusion"] == [
        {"gold": NAME, "predicted": PHONE, "count": 1},
        {"gold": PHONE, "predicted": None, "count": 1},
    ]
    assert report["errors"] == {"missed": 1, "type": 1}


def test_an_error_is_named_after_the_partner_of_the_same_type():
    # Both predictions overlap the gold span alike; the one of its type is the partner.
    report = scored(case(TEXT, [(7, 17, PHONE)], [(7, 12, NAME), (12, 17, PHONE)]))
    assert report["errors"] == {"boundary": 1, "spurious": 1}


class TestLeakage:
    def test_characters_values_and_documents_by_hand(self):
        # The name is gone; of the phone number eight of eleven characters are hidden.
        half = case(TEXT, GOLD, [(2, 4, PHONE), (7, 15, NAME)])
        clean = case(TEXT, GOLD, [(0, 18, NAME)])
        free = case("你好", [], [])
        leak = scored(half, clean, free)["leakage"]["all"]
        assert leak["num_values"] == 4
        assert leak["characters"]["value"] == round(3 / 26, 4)
        assert leak["values_touched"]["value"] == 0.25
        assert leak["values_whole"]["value"] == 0
        assert leak["documents"]["value"] == 0.5  # of the two that hold PII
        assert leak["documents_whole"]["value"] == 0

    def test_a_value_that_is_hidden_once_and_stands_elsewhere_is_still_readable(self):
        text = "张三打电话。张三说好。"
        leak = scored(case(text, [(0, 2, NAME)], [(0, 2, NAME)]))["leakage"]["all"]
        assert leak["characters"]["value"] == 0
        assert leak["values_whole"]["value"] == 1

    def test_one_character_betrays_itself_only_at_its_own_place(self):
        leak = scored(case("王先生，国王", [(0, 1, NAME)], [(0, 1, NAME)]))["leakage"]["all"]
        assert leak["values_whole"]["value"] == 0
        leak = scored(case("王先生，国王", [(0, 1, NAME)], []))["leakage"]["all"]
        assert leak["values_whole"]["value"] == 1

    def test_what_redaction_removes_does_not_join_its_sides(self):
        # Without a mark between them, the rest would spell the value.
        leak = scored(case("ab--cd abcd", [(7, 11, MAIL)], [(2, 4, PHONE), (7, 11, MAIL)]))["leakage"]["all"]
        assert leak["values_whole"]["value"] == 0

    def test_by_tier_and_sensitivity(self):
        text = "张三住在某路1号，护照E12345678"
        gold = [(0, 2, NAME), (4, 8, "ADDRESS"), (11, 20, "PASSPORT_NUMBER")]
        leak = scored(case(text, gold, [(0, 2, NAME)]))["leakage"]
        assert {name: part["num_values"] for name, part in leak.items()} == {
            "all": 3, "tier_direct": 2, "tier_quasi": 1, "sensitive": 2,
        }  # fmt: skip
        assert leak["tier_direct"]["characters"]["value"] == round(9 / 11, 4)
        assert leak["sensitive"]["values_whole"]["value"] == 1


def test_false_alarms_touch_no_gold_character():
    wrong_type = case(TEXT, GOLD, [(3, 5, PHONE)])  # touches the name: wrong, but nothing harmless is hidden
    invented = case("一二三四五六七八九十", [], [(0, 2, NAME), (3, 5, NAME)])
    quiet = case("一二三四五六七八九十", [], [])
    alarms = scored(wrong_type, invented, quiet)["false_alarms"]
    assert alarms["num_alarms"] == 2
    assert alarms["num_free_documents"] == 2
    assert alarms["per_1000_characters"]["value"] == round(2000 / (len(TEXT) + 20), 4)
    assert alarms["per_free_document"]["value"] == 1
    assert alarms["free_documents_with_alarm"]["value"] == 0.5


def test_slices_choose_documents():
    report = scored(
        case(TEXT, GOLD, GOLD, language="zh", source="a", meta={"form": "bare"}),
        case("call Ann", [(5, 8, NAME)], [], language="en", source="a", meta={"form": ["bare", "dashed"]}),
    )
    found = report["slices"]
    assert found["language"]["zh"]["f1"]["value"] == 1
    assert found["language"]["en"]["f1"]["value"] == 0
    assert found["form"]["dashed"]["num_gold"] == 1
    assert "source" not in found  # all documents are of one source: the whole says the same
    assert "bare" not in found["form"]


# --- against seqeval, and what must hold whatever the documents are -----------------------------------


@st.composite
def flat(draw, length=30, kinds=(NAME, PHONE)):
    """Spans without overlap over a text of `length` characters, neighbours included."""
    cuts = sorted(draw(st.sets(st.integers(0, length), max_size=10)))
    pieces = itertools.pairwise(cuts)
    return [Span(a, b, draw(st.sampled_from(kinds))) for a, b in pieces if draw(st.booleans())]


documents = st.lists(st.tuples(flat(), flat()), min_size=1, max_size=6)


def cases_of(drawn):
    return [Case(Document("x" * 30, tuple(gold)), tuple(predicted)) for gold, predicted in drawn]


def strict_rates(cases):
    tally = tabulate(cases, TAXONOMY, [matching.STRICT]).spans["strict"]
    return {name: ratio.value for name, ratio in tally.rates(np.ones(len(cases), dtype=bool)).items()}


@given(documents)
def test_strict_is_seqeval(drawn):
    checked = crosscheck.check(cases_of(drawn), TAXONOMY, limit=100)
    assert checked["agrees"]
    assert checked["num_documents"] == len(drawn)


@given(documents)
def test_strict_per_type_is_seqeval(drawn):
    from seqeval.metrics import classification_report
    from seqeval.scheme import IOB2

    cases = cases_of(drawn)
    theirs = classification_report(
        [crosscheck.tags(c.document, c.document.spans) for c in cases],
        [crosscheck.tags(c.document, c.predicted) for c in cases],
        mode="strict", scheme=IOB2, output_dict=True, zero_division=0,
    ) if any(c.document.spans or c.predicted for c in cases) else {}  # fmt: skip
    ours = scored(*cases).get("by_type", {})
    assert {n: round(float(r["f1-score"]), 4) for n, r in theirs.items() if n in (NAME, PHONE)} == {
        name: part["f1"]["value"] for name, part in ours.items()
    }


def test_the_crosscheck_notices_a_difference(monkeypatch):
    monkeypatch.setattr(crosscheck, "by_seqeval", lambda *_: {"precision": 1.0, "recall": 1.0, "f1": 0.99})
    assert not crosscheck.check([case(TEXT, GOLD, GOLD)], TAXONOMY, 10)["agrees"]


def test_the_crosscheck_of_nothing():
    assert crosscheck.check([], TAXONOMY, 10) == {
        "seqeval": {"precision": 0, "recall": 0, "f1": 0},
        "num_documents": 0,
        "num_left_out": 0,
        "agrees": True,
    }


def test_the_crosscheck_counts_what_it_cannot_read():
    overlapping = case(TEXT, GOLD, [(2, 4, NAME), (3, 5, NAME)])
    checked = crosscheck.check([overlapping, case(TEXT, GOLD, GOLD)], TAXONOMY, 10)
    assert (checked["num_documents"], checked["num_left_out"]) == (1, 1)


@given(documents)
def test_gold_against_itself_is_perfect(drawn):
    cases = [Case(c.document, c.document.spans) for c in cases_of(drawn)]
    report = scored(*cases)
    if any(gold for gold, _ in drawn):
        for mode in ("strict", "exact", "partial", "type", "iou_0.50", "characters", "tokens"):
            assert rates(report, mode) == (1, 1, 1)
        assert report["strict"]["macro_f1"] == 1
        assert report["leakage"]["all"]["characters"]["value"] == 0
    assert report["false_alarms"]["num_alarms"] == 0


@given(documents, st.randoms(use_true_random=False))
def test_shuffling_changes_nothing(drawn, generator: random.Random):
    cases = cases_of(drawn)
    shuffled = []
    for one in cases:
        predicted = list(one.predicted)
        generator.shuffle(predicted)
        shuffled.append(Case(one.document, tuple(predicted)))
    generator.shuffle(shuffled)
    assert scored(*shuffled) == scored(*cases)


@given(documents, st.integers(0, 29), st.integers(1, 5), st.sampled_from([NAME, PHONE]))
def test_a_wrong_span_never_raises_precision(drawn, start, length, kind):
    cases = cases_of(drawn)
    wrong = Span(start, min(30, start + length), kind)
    if wrong in cases[0].document.spans:
        return
    worse = [Case(cases[0].document, (*cases[0].predicted, wrong)), *cases[1:]]
    before, after = strict_rates(cases), strict_rates(worse)
    if before["precision"] is not None:
        assert after["precision"] <= before["precision"]
    assert after["recall"] == before["recall"]


@given(documents)
def test_modes_are_ordered_from_hard_to_easy(drawn):
    report = scored(*cases_of(drawn), iou_thresholds=(0.5, 0.75))
    if report["strict"]["f1"]["value"] is not None:
        for hard, easy in (
            ("strict", "iou_0.75"), ("iou_0.75", "iou_0.50"), ("iou_0.50", "type"),
            ("strict", "exact"), ("exact", "partial"),
        ):  # fmt: skip
            assert report[hard]["f1"]["value"] <= report[easy]["f1"]["value"]


@given(documents)
def test_verdicts_add_up(drawn):
    cases = cases_of(drawn)
    report = scored(*cases)
    num_gold = sum(len(c.document.spans) for c in cases)
    num_predicted = sum(len(c.predicted) for c in cases)
    for mode in ("strict", "exact", "partial", "type"):
        counts = report[mode]["counts"]
        paired = counts["correct"] + counts["partial"] + counts["incorrect"]
        assert paired + counts["missed"] == num_gold
        assert paired + counts["spurious"] == num_predicted


class TestNervaluate:
    """nervaluate as a second reading of the SemEval modes, and where it differs, and why."""

    def theirs(self, gold, predicted, mode):
        from nervaluate import Evaluator

        def shape(spans):
            # It takes ends as inclusive: with exclusive ones it counts neighbours as overlapping.
            return [[{"label": s.type, "start": s.start, "end": s.end - 1} for s in spans]]

        found = Evaluator(shape(gold), shape(predicted), tags=[NAME, PHONE], loader="dict").evaluate()
        return found["overall"][mode]

    @pytest.mark.parametrize(
        ("gold", "predicted"),
        [
            (GOLD, GOLD),
            (GOLD, [(2, 4, NAME)]),
            (GOLD, [(2, 4, PHONE), (7, 15, PHONE)]),
            (GOLD, [(0, 4, NAME), (8, 18, NAME), (19, 20, NAME)]),
        ],
    )
    @pytest.mark.parametrize(
        ("ours", "theirs"),
        [("strict", "strict"), ("exact", "exact"), ("partial", "partial"), ("type", "ent_type")],
    )
    def test_same_counts_where_every_span_has_at_most_one_partner(self, gold, predicted, ours, theirs):
        counts = scored(case(TEXT, gold, predicted))[ours]["counts"]
        other = self.theirs([Span(*t) for t in gold], [Span(*t) for t in predicted], theirs)
        assert counts["correct"] == other.correct
        assert counts["partial"] == other.partial
        assert counts["missed"] == other.missed
        assert counts["spurious"] == other.spurious

    def test_its_verdict_depends_on_the_order_of_gold_and_ours_does_not(self):
        # It takes the first free gold span that overlaps. With the gold list reversed, the first prediction
        # takes the second gold span, and the second prediction finds none left.
        gold = [Span(0, 3, NAME), Span(3, 8, NAME)]
        predicted = [Span(2, 4, PHONE), Span(4, 6, PHONE)]
        assert [self.theirs(order, predicted, "partial").partial for order in (gold, gold[::-1])] == [2, 1]
        assert (
            scored(Case(Document("x" * 8, tuple(gold)), tuple(predicted)))["partial"]["counts"]["partial"]
            == 2
        )


@pytest.mark.slow
def test_a_hundred_thousand_documents_in_a_minute_and_in_1500_megabytes():
    """In a process of its own, whose memory is this work's alone. `measure` proves the planted counts."""
    words = [sys.executable, "-m", "evaluation.bench_scoring"]
    # One thread: on a busy machine, threads that wait for each other would count as work.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "300,000" in ended.stdout


def test_the_scoring_benchmark_finds_what_it_planted_and_can_fail(monkeypatch, capsys):
    assert bench_scoring.main(["--documents", "60"]) == 0
    monkeypatch.setattr(bench_scoring, "MEGABYTES", 1.0)
    assert bench_scoring.main(["--documents", "60"]) == 1
    assert "180" in capsys.readouterr().out
    monkeypatch.setattr(bench_scoring, "_planted", lambda spans, *_: spans)
    with pytest.raises(AssertionError):
        bench_scoring.measure(20, num_resamples=10)


@pytest.mark.parametrize(
    ("text", "start", "end", "tokens_touched"),
    [
        ("我叫张三，住上海", 2, 4, 2),  # each Chinese character is one
        ("I am Ann-Marie Li.", 5, 14, 3),  # Ann, -, Marie
        ("I am Ann-Marie Li.", 6, 7, 1),  # a part of a word touches it
        ("call 13800138000x", 5, 16, 1),
        ("a_b@example.org", 0, 15, 7),
        ("Ann  Li", 3, 5, 0),  # nothing but space
        ("Ｊｏｅ张", 0, 4, 2),  # full-width letters are a word
        ("naïve", 0, 2, 1),
    ],
)
def test_tokens_by_hand(text, start, end, tokens_touched):
    (found,) = tokens.extents(text, [Span(start, end, NAME)])
    assert sum(len(span) for span in found) == tokens_touched


def test_spans_that_share_a_token_count_it_once():
    report = scored(case("AnnBob went", [(0, 3, NAME), (3, 6, NAME)], [(0, 6, NAME)]))
    assert rates(report, "tokens") == (1, 1, 1)
    assert rates(report, "strict")[1] == 0


@given(st.text(max_size=40), st.data())
def test_every_token_of_a_text_is_touched_once_by_a_span_over_all_of_it(text, data):
    cut = data.draw(st.integers(0, len(text)))
    if text:
        whole, parts = tokens.extents(
            text,
            [Span(0, len(text), NAME)],
            [Span(a, b, NAME) for a, b in ((0, cut), (cut, len(text))) if a < b],
        )
        assert metrics.union(whole) == metrics.union(parts)
        shown = sum(not char.isspace() for char in text)
        assert bool(whole) == bool(shown)


def test_covered_ranges():
    ranges = metrics.union([Span(4, 6, NAME), Span(0, 2, NAME), Span(5, 9, PHONE), Span(2, 3, NAME)])
    assert ranges == [(0, 3), (4, 9)]
    assert metrics.covered(1, 6, ranges) == 4
    assert metrics.remainder("abcdefghij", ranges) == "\0d\0j"
