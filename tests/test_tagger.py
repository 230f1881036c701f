"""The character tagger: tags, the stream, exact resume, and a network that serves as it learned."""

import json
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from configs.reader import RECIPES, load
from evaluation import measure
from evaluation.recipe import EvalConfig
from pii.errors import ModelFolderError
from pii.model_folder import MANIFEST, find
from pii.spans import Span
from pii.tagger_folder import (
    FIRST_KNOWN,
    INPUT,
    NETWORK,
    PADDING,
    Numbering,
    class_of,
    read_tagger,
)
from pii.tags import num_tags, spans_of, tags_of
from serving.evidence import LEAST_LOGPROB
from serving.extractor_config import ExtractorConfig
from serving.tagger import CharacterTagger, Tagged
from training import tagger
from training.endless_run import HISTORY, STATE
from training.lessons import Lessons
from training.tag_stream import TagStream, cut
from training.tagger_learner import TaggerLearner
from training.tagger_network import LogProbabilities, TaggerNetwork
from training.tagger_recipe import TaggerRecipe
from training.tagger_run import TaggerRun
from training.tagging import UNTAGGED

TYPES = ("PERSON_NAME", "PHONE_NUMBER")
TINY: dict[str, Any] = {
    "network": {"embedding": 8, "width": 16, "steps": [1, 2], "attention_behind": 1, "heads": 2},
    "characters": 800,
    "characters_documents": 100,
    "tokens": 30_000,
    "phases": [
        {"name": "first", "share": 1.0, "mix": {"extraction": 1.0}, "window_chars": 120},
        {"name": "second", "share": 1.0, "mix": {"extraction": 1.0, "inserted": 0.5}, "batch_factor": 2},
    ],
    "batch": {"tokens": 1024, "pool": 16},
    "probe": {"every_steps": 8, "documents": 4},
    "workers": 1,
    "precision": "fp32",
    "compiled": False,
}


def recipe_of(**changes: Any) -> TaggerRecipe:
    return TaggerRecipe.model_validate_json(json.dumps({**TINY, **changes}))


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nobody interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert tagger.STAGE.make(recipe_of(folder=str(folder)))
    return folder


@pytest.fixture(scope="module")
def made(whole_run: Path) -> CharacterTagger:
    return CharacterTagger(whole_run / "tagger")


def history(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / HISTORY).read_text(encoding="utf-8").splitlines()]
    return [{k: v for k, v in row.items() if k not in ("seconds", "tokens_per_s")} for row in rows]


# --- tags and numbers -------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4), st.sampled_from(TYPES)), max_size=8))
def test_tags_of_spans_say_the_spans_also_where_two_of_a_type_touch(parts: list[tuple[int, int, str]]):
    spans, end = [], 0
    for gap, length, name in parts:
        spans.append(Span(end + gap, end + gap + length, name))
        end += gap + length
    pieces = [(place, place + 1) for place in range(end + 2)]
    tags = tags_of(pieces, spans, TYPES)
    assert spans_of(pieces, tags, TYPES) == spans
    assert max(tags) < num_tags(TYPES)


def test_a_further_tag_without_a_first_one_begins_an_entity():
    pieces = [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert spans_of(pieces, [0, 2, 2, 4], TYPES) == [Span(1, 3, TYPES[0]), Span(3, 4, TYPES[1])]


@given(st.text())
def test_every_character_has_a_number_of_its_own_or_of_its_class(text: str):
    numbering = Numbering("张a1")
    for character, number in zip(text, numbering.numbers(text), strict=True):
        known = "张a1".find(character)
        assert number == (FIRST_KNOWN + known if known >= 0 else class_of(character))
        assert PADDING < number < numbering.size


def test_unknown_characters_are_told_apart_by_their_class():
    classes = [class_of(character) for character in ("\u9fff", "\U00020001", "ж", "٣", "\u2003", "«", "☃")]
    assert classes[0] == classes[1]
    assert len(set(classes)) == 6


# --- the stream -------------------------------------------------------------------------------------


def test_an_example_is_the_labelled_window_and_depends_on_its_number_alone():
    recipe = recipe_of(unknown=0.0)
    lessons, phase = Lessons(recipe), recipe.phases[1]
    drawn = [lessons.labelled(phase, index) for index in range(20)]
    characters = "".join(sorted({c for window in drawn if not isinstance(window, str) for c in window.text}))
    stream, again = TagStream(recipe, characters), TagStream(recipe, characters)
    num_entities = 0
    for index in range(20):
        example, window = stream.example(phase, index), drawn[index]
        assert example == again.example(phase, index)
        if isinstance(window, str):
            assert example == window
            continue
        assert not isinstance(example, str)
        assert "".join(characters[number - FIRST_KNOWN] for number in example.numbers) == window.text
        pieces = [(place, place + 1) for place in range(len(window.text))]
        assert spans_of(pieces, example.tags, stream._types) == list(window.spans)
        num_entities += len(window.spans)
    assert num_entities > 10


def test_some_characters_show_their_class_alone():
    recipe = recipe_of(unknown=0.5)
    phase = recipe.phases[0]
    text = Lessons(recipe).labelled(phase, 0)
    assert not isinstance(text, str)
    example = TagStream(recipe, "".join(sorted(set(text.text)))).example(phase, 0)
    assert not isinstance(example, str)
    share = sum(number < FIRST_KNOWN for number in example.numbers) / len(example.numbers)
    assert 0.2 < share < 0.8


def test_batches_hold_every_window_once_and_padding_has_no_tag():
    recipe = recipe_of()
    stream = TagStream(recipe, "的一")
    made = [stream.example(recipe.phases[0], index) for index in range(12)]
    examples = [example for example in made if not isinstance(example, str)]
    batches = cut(examples, 512)
    assert sum(batch.num_tokens for batch in batches) == sum(len(e.numbers) for e in examples)
    for batch in batches:
        assert ((batch.numbers == PADDING) == (batch.tags == UNTAGGED)).all()


def test_a_tagger_learns_from_documents_alone():
    phases = [{"name": "x", "share": 1.0, "mix": {"chat": 1.0}}]
    with pytest.raises(ValueError, match="documents alone"):
        recipe_of(phases=phases)
    assert load(RECIPES / "tagger.yaml", TaggerRecipe).tokens > 0


# --- the run ----------------------------------------------------------------------------------------


def test_it_learns_and_says_how_far_it_is(whole_run: Path):
    rows = history(whole_run)
    assert rows[-1]["tokens"] >= TINY["tokens"]
    assert rows[-1]["loss"] < 0.75 * rows[0]["loss"]
    assert {"f1_own", "f1_foreign"} <= rows[-1].keys()


def test_a_run_that_is_stopped_and_started_again_is_the_same_run(
    whole_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    recipe = recipe_of(folder=str(tmp_path / "run"))
    step, steps = TaggerLearner.step, 0

    def interrupted(self: TaggerLearner, *args: Any) -> None:
        nonlocal steps
        step(self, *args)
        steps += 1
        if steps in (3, 11):
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(TaggerLearner, "step", interrupted)
    assert [tagger.STAGE.make(recipe) for _ in range(3)] == [False, False, True]
    assert history(tmp_path / "run") == history(whole_run)
    mine, whole = (torch.load(f / STATE, weights_only=True) for f in (tmp_path / "run", whole_run))
    for name, values in whole["learner"]["network"].items():
        assert torch.equal(mine["learner"]["network"][name], values)


def test_the_folder_says_what_it_is_and_export_writes_it_again(whole_run: Path, tmp_path: Path):
    manifest = read_tagger(whole_run / "tagger")
    assert manifest.training["tokens"] >= TINY["tokens"]
    assert manifest.data_sources["synthetic"] == {"licence": "the project's own"}
    card = (whole_run / "tagger" / "README.md").read_text(encoding="utf-8")
    assert "| network.width | 16 |" in card
    tagger.STAGE.export(recipe_of(folder=str(whole_run)), tmp_path / "again")
    assert (tmp_path / "again" / NETWORK).read_bytes() == (whole_run / "tagger" / NETWORK).read_bytes()


def test_a_network_does_not_tell_on_which_machine_it_was_made(whole_run: Path):
    for folder in (whole_run / "tagger", find("models/tagger")):
        written = (folder / NETWORK).read_bytes()
        assert b".py" not in written
        assert b"site-packages" not in written


def test_what_serves_says_what_was_learned_for_windows_of_any_length(whole_run: Path):
    job = TaggerRun(recipe_of(folder=str(whole_run)), whole_run)
    served = onnxruntime.InferenceSession(whole_run / "tagger" / NETWORK)
    learned = LogProbabilities(job.network).eval()
    for length in (1, 2, 3, 70, 600):
        numbers = torch.randint(1, 500, (1, length), generator=torch.Generator().manual_seed(length))
        with torch.no_grad():
            expected = learned(numbers).numpy()
        said = served.run(None, {INPUT: numbers.numpy()})[0]
        # It multiplies whole numbers.
        np.testing.assert_allclose(np.exp(said), np.exp(expected), atol=0.02)
        assert said.shape == (1, length, num_tags(job.types))


def test_what_stands_behind_a_window_has_no_influence():
    network = TaggerNetwork(recipe_of().network, 50, 5).eval()
    numbers = torch.randint(1, 50, (1, 20))
    padded = torch.cat([numbers, torch.full((1, 12), PADDING)], 1)
    with torch.no_grad():
        assert torch.allclose(network(numbers), network(padded)[:, :20], atol=1e-5)


# --- the detector -----------------------------------------------------------------------------------


def tagged_of(rows: list[list[float]], spans: list[Span]) -> Tagged:
    """Over tags 0, first and further of one type."""
    return Tagged(tuple(spans), tuple(spans), TYPES[:1], np.log(np.array(rows, np.float16)))


def test_evidence_is_of_beginning_inside_and_end():
    rows = [[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.7, 0.05, 0.25]]
    said = tagged_of(rows, []).evidence(Span(1, 3, TYPES[0]))
    assert said is not None
    probabilities = np.exp([said.begins, said.inside, said.ends, said.lowest])
    assert probabilities == pytest.approx([0.8, 0.6, 0.75, 0.6], abs=0.01)
    at_the_end = tagged_of(rows, []).evidence(Span(3, 4, TYPES[0]))
    assert at_the_end is not None
    assert (at_the_end.ends, at_the_end.inside) == (0.0, 0.0)
    assert tagged_of(rows, []).evidence(Span(1, 3, "PHONE_NUMBER")) is None


def test_what_is_impossible_counts_down_to_a_bound():
    said = tagged_of([[1e-6, 1.0, 0.0], [0.0, 0.0, 1.0]], []).evidence(Span(0, 1, TYPES[0]))
    assert said is not None
    assert said.ends == LEAST_LOGPROB


def test_what_it_says_of_a_text_depends_on_the_text_alone(made: CharacterTagger):
    texts = ["我叫张三，电话13800138000。", "Call Anna Berg at +44 20 7946 0958.", "x", "没有。" * 300]
    alone = [made.read(text, made.manifest.entity_types) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda text: made.read(text, made.manifest.entity_types), texts * 4))
    for index, one in enumerate(together):
        assert np.array_equal(one.log_probabilities, alone[index % 4].log_probabilities)
        assert one == alone[index % 4]


def test_spans_are_of_the_asked_types_and_the_second_look_leaves_the_first_alone(made: CharacterTagger):
    text = "客户张三，电话13800138000，邮箱zhang@example.com。\n" * 40
    everything = made.read(text, made.manifest.entity_types)
    assert len(everything.log_probabilities) == len(text)
    assert set(everything.likeliest) <= set(everything.spans)
    for left, right in zip(everything.spans, everything.spans[1:], strict=False):
        assert left.end <= right.start
    assert {span.type for span in made.read(text, ["PERSON_NAME"]).spans} <= {"PERSON_NAME"}
    assert not made.read(text, []).spans


def test_allowed_spans_are_left_out():
    spans = [Span(0, 1, TYPES[0]), Span(2, 3, TYPES[0])]
    left = tagged_of([[1, 1, 1]] * 4, spans).without(lambda span: span.start == 0)
    assert left.spans == left.likeliest == (spans[1],)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / NETWORK).unlink(), "no tagger"),
        (lambda folder: (folder / MANIFEST).write_text("{"), "not JSON"),
        (lambda folder: (folder / MANIFEST).write_text('{"kind": "pii-model"}'), "not a tagger"),
        (lambda folder: (folder / MANIFEST).write_text('{"kind": "pii-tagger", "version": 99}'), "release"),
        (lambda folder: (folder / MANIFEST).write_text('{"kind": "pii-tagger", "version": 1}'), "characters"),
    ],
)
def test_a_folder_that_is_no_tagger_is_refused_by_name(whole_run: Path, tmp_path: Path, change, message):
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in (NETWORK, MANIFEST):
        (folder / name).write_bytes((whole_run / "tagger" / name).read_bytes())
    CharacterTagger(folder)
    change(folder)
    with pytest.raises(ModelFolderError, match=message):
        CharacterTagger(folder)


def test_predictions_calibrations_and_jobs_depend_on_the_very_tagger(whole_run: Path, tmp_path: Path):
    folder = tmp_path / "copy"
    shutil.copytree(whole_run / "tagger", folder)
    values = {"output": tmp_path / "eval", "splits": {"own": {"file": tmp_path / "x"}}}
    config = EvalConfig.model_validate({**values, "extractor": ExtractorConfig(tagger=folder)})
    before = measure.made_from(config, [], None)
    with (folder / NETWORK).open("ab") as file:
        file.write(b"x")
    changed = {name for name, value in measure.made_from(config, [], None).items() if value != before[name]}
    assert changed == {"tagger"}
    assert config.extractor.model_copy(update={"detectors": "patterns"}).tagger_fingerprint == ""
    assert config.extractor.model_copy(update={"tagger": None}).tagger_fingerprint == ""
    (folder / NETWORK).unlink()
    with pytest.raises(ModelFolderError, match="no tagger"):
        measure.made_from(config, [], None)
