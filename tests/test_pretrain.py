"""`pii base`: an endless stream that never shows what is held out, exact resume, and a model that serves."""

import json
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import Qwen2ForCausalLM

from configs.errors import ConfigError
from configs.reader import RECIPES, load
from data_pipeline import rendering
from data_pipeline.inputs import read_conversations
from data_pipeline.splits import synthetic_split
from pii import codec
from pii.grounding import ground
from pii.model_folder import read_manifest
from pii.taxonomy import shipped
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from training import pretrain
from training.bare import SMALLEST, Architecture, make_config
from training.copying import MANY, ONE, WHOLE, CopyTasks
from training.device import can_compile
from training.endless import Example, Stream, cut
from training.endless_run import HISTORY, STATE
from training.induction import install
from training.learner import Learner
from training.lessons import Lessons, licence_clean
from training.pools import Pool
from training.pretrain_recipe import BaseRecipe, BatchSizes
from training.pretrain_run import PretrainRun
from training.probes import make_probe
from training.progress import Progress, batches
from training.tagging import UNTAGGED, TagHead, tags
from training.tokenizer import load as load_tokenizer
from training.tokenizer import train as train_tokenizer

TINY: dict[str, Any] = {
    "architecture": SMALLEST.model_dump(),
    "context_tokens": 512,
    "tokens": 24_000,
    "phases": [
        {"name": "first", "share": 1.0, "mix": {"copy": 1.0, "extraction": 1.0}, "window_chars": 80},
        {"name": "second", "share": 1.0, "mix": {"extraction": 1.0, "inserted": 0.5, "chat": 0.5}},
    ],
    "batch": {"tokens": 1024, "pool": 24},
    "probe": {"every_steps": 8, "documents": 3, "answered": 0},
    "tagging": {"layer": 1},
    "workers": 1,
    "precision": "fp32",
    "compiled": False,
}


def recipe_of(**changes: Any) -> BaseRecipe:
    return BaseRecipe.model_validate_json(json.dumps({**TINY, **changes}))


@pytest.fixture(scope="module")
def lessons() -> Lessons:
    recipe = recipe_of()
    return Lessons(recipe)


@pytest.fixture(scope="module")
def tokenizer_folder(lessons: Lessons, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer = train_tokenizer(lessons.vocabulary_texts(150), vocab_size=800, context_tokens=512)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def stream(lessons: Lessons, tokenizer_folder: Path) -> Stream:
    return Stream(recipe_of(), lessons, load_tokenizer(tokenizer_folder))


@pytest.fixture(scope="module")
def whole_run(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nobody interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert pretrain.STAGE.make(recipe_of(folder=str(folder), tokenizer=str(tokenizer_folder)))
    return folder


# --- recipe -----------------------------------------------------------------------------------------


def test_the_shipped_recipe_loads_and_stays_within_the_promised_size():
    recipe = load(RECIPES / "base.yaml", BaseRecipe)
    sizes = recipe.architecture
    width, inner = sizes.hidden_size, sizes.intermediate_size
    layer = 4 * width * width + 3 * width * inner
    assert sizes.vocab_size * width + sizes.num_layers * layer < 16_000_000
    assert licence_clean(recipe.data_config()).licences == ("permissive",)


def test_phases_follow_each_other_by_their_share_of_the_tokens():
    recipe = recipe_of(tokens=1000)
    names = [recipe.phase_at(tokens).name for tokens in (0, 499, 500, 999, 1000, 5000)]
    assert names == ["first", "first", "second", "second", "second", "second"]


@pytest.mark.parametrize(
    "changes",
    [
        {"phases": []},
        {"phases": [TINY["phases"][0], TINY["phases"][0]]},
        {"phases": [{"name": "x", "share": 1.0, "mix": {"copy": 0.0}}]},
        {"phases": [{"name": "x", "share": 1.0, "mix": {"copy": 1.0, "chat": -1.0}}]},
        {"phases": [{"name": "x", "share": 1.0, "mix": {"poems": 1.0}}]},
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused(changes: dict[str, Any]):
    with pytest.raises(ValueError, match="phases"):
        recipe_of(**changes)


# --- copy tasks -------------------------------------------------------------------------------------


@given(st.integers(0, 10**9))
def test_the_answer_of_a_copy_task_is_what_its_instruction_asks_for(seed: int):
    system, user, assistant = CopyTasks("天地玄黄«»").draw(Random(seed))
    text, answer = user["content"], assistant["content"]
    if system["content"] == WHOLE:
        assert answer in (text, f"{text} {text}")
        return
    parts = [piece.split("»")[0] for piece in text.split("«")[1:]]
    assert text.count("«") == text.count("»") == len(parts) > 0
    assert system["content"] in (ONE, MANY)
    assert parts == ([answer] if system["content"] == ONE else json.loads(answer))


# --- stream -----------------------------------------------------------------------------------------


def test_an_example_depends_on_its_phase_and_index_alone(stream: Stream, lessons: Lessons):
    first, second = stream.recipe.phases
    again = Stream(recipe_of(), Lessons(recipe_of()), stream._plain)
    wanted = [stream.example(first, index) for index in range(12)]
    assert [again.example(first, index) for index in reversed(range(12))] == wanted[::-1]
    assert len({tuple(e.ids) for e in wanted if isinstance(e, Example)}) > 10
    assert lessons.draw(first, 3) != lessons.draw(second, 3)
    other_seed = Lessons(recipe_of(seed=1))
    assert [other_seed.draw(first, i) for i in range(5)] != [lessons.draw(first, i) for i in range(5)]


def test_no_document_of_a_held_out_family_is_ever_shown(lessons: Lessons, monkeypatch: pytest.MonkeyPatch):
    recipe, shown = recipe_of(), []
    data = recipe.data_config()
    draw = rendering.draw_request

    def noting(document: Any, *args: Any, **kwargs: Any) -> Any:
        shown.append(document)
        return draw(document, *args, **kwargs)

    monkeypatch.setattr(rendering, "draw_request", noting)
    for index in range(250):
        lessons.draw(recipe.phases[0], index)
        lessons.draw(recipe.phases[1], index)
    generated = [document for document in shown if document.source == "synthetic"]
    held_out = data.synthetic.held_out_families
    assert len(generated) > 150
    assert {synthetic_split(document, data.seed, held_out) for document in generated} == {"train"}
    assert len({document.id for document in generated}) == len(generated)


@pytest.mark.parametrize("split", ["validation", "foreign"])
def test_probes_are_of_their_split(lessons: Lessons, split: Any):
    data = recipe_of().data_config()
    found = lessons.held_out(split, 5)
    assert [synthetic_split(d, data.seed, data.synthetic.held_out_families) for d in found] == [split] * 5


def test_a_chat_whose_licence_is_not_clean_is_left_out():
    data = recipe_of().data_config()
    restricted = {
        name: source.model_copy(update={"licence_class": "restricted"})
        for name, source in data.chat.sources.items()
        if name != "belle-seed-zh"
    }
    chat = data.chat.model_copy(update={"sources": {**data.chat.sources, **restricted}})
    kept = read_conversations(licence_clean(data.model_copy(update={"chat": chat})))
    assert 0 < len(kept) < len(read_conversations(licence_clean(data)))
    assert {row.language for row in kept} == {"zh"}


def test_prompts_count_little_and_random_strings_do_not_count(stream: Stream):
    phase = stream.recipe.phases[0].model_copy(update={"text_weight": 0.25})
    made = [stream.example(phase, index) for index in range(40)]
    weights = {
        kind: set().union(*(e.weights for e in made if isinstance(e, Example) and e.kind == kind))
        for kind in ("copy", "extraction")
    }
    assert weights == {"copy": {0.0, 1.0}, "extraction": {0.25, 1.0}}


def test_a_drawn_share_of_the_text_counts_as_much_as_all_of_it(stream: Stream):
    every = stream.recipe.phases[0].model_copy(update={"text_weight": 0.1})
    drawn = every.model_copy(update={"text_share": 0.25})
    sums = {
        phase.text_share: sum(
            weight
            for index in range(200)
            if isinstance(example := stream.example(phase, index), Example)
            for weight in example.weights
            if weight < 1
        )
        for phase in (every, drawn)
    }
    weights = {w for i in range(40) if isinstance(e := stream.example(drawn, i), Example) for w in e.weights}
    assert weights == {0.0, 0.4, 1.0}
    assert sums[0.25] == pytest.approx(sums[1.0], rel=0.1)


def test_what_is_longer_than_the_context_is_left_out_and_counted(stream: Stream, lessons: Lessons):
    short = Stream(recipe_of(context_tokens=64), lessons, stream._plain)
    pool = short.pool(short.recipe.phases[0], 0, 40, 256)
    kept = sum(len(batch.kinds) for batch in pool.batches)
    assert pool.left_out["longer than the context"] > 0
    assert kept + pool.left_out.total() == 40
    assert max(batch.ids.shape[1] for batch in pool.batches) <= 64


@given(st.lists(st.integers(1, 60), max_size=40), st.integers(20, 200))
def test_batches_are_bounded_and_hold_every_example_once(lengths: list[int], max_tokens: int):
    examples = [Example("copy", [i + 1] * n, [1.0] * n) for i, n in enumerate(lengths)]
    made = cut(examples, max_tokens)
    assert all(b.ids.size <= max_tokens or len(b.ids) == 1 for b in made)
    assert sorted(int(row[0]) - 1 for b in made for row in b.ids) == list(range(len(lengths)))
    assert sum(b.num_tokens for b in made) == sum(lengths) == sum(int(b.weights.sum()) for b in made)
    assert all(((b.ids == 0) == (b.weights == 0)).all() for b in made)


def test_tags_say_of_every_token_of_the_document_which_entity_it_belongs_to(lessons: Lessons, stream: Stream):
    tokenizer: Any = stream._plain
    names = [entity_type.name for entity_type in shipped()]
    num_values = 0
    for index in range(30):
        kind, messages = lessons.draw(recipe_of().phases[-1], index)
        if isinstance(messages, str) or kind not in ("extraction", "inserted"):
            continue
        text, answer = messages[1]["content"], codec.parse(messages[2]["content"])
        spans = ground(text, answer.mentions).spans
        tagged = tags(tokenizer, [*messages])
        ids, is_answer = codec.encode(tokenizer, messages, answer_next=False)
        first = tagged.count(UNTAGGED)
        assert len(tagged) < is_answer.index(True)
        assert tokenizer.decode(ids[first : len(tagged)]) == text
        offsets = tokenizer(
            text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True
        )["offset_mapping"]
        for (start, end), tag in zip(offsets, tagged[first:], strict=True):
            touched = next((span for span in spans if span.start < end and start < span.end), None)
            assert (touched is None) == (tag == 0)
            if touched is not None:
                assert names[(tag - 1) // 2] == touched.type
                assert (tag % 2 == 1) == (start <= touched.start)
        num_values += len(spans)
    assert num_values > 20


def test_the_head_of_the_auxiliary_task_learns_from_what_is_tagged_alone():
    torch.manual_seed(0)
    hidden, wanted = torch.randn(4, 20, 32), torch.randint(0, 5, (4, 20))
    wanted[:, :3] = UNTAGGED
    tagger = TagHead(32)
    optimizer = torch.optim.Adam(tagger.parameters(), lr=0.05)
    losses = []
    for _ in range(60):
        loss = tagger.loss(hidden, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 3
    # What has no tag does not count: neither its states nor their number.
    other = hidden.clone()
    other[:, 0] += 1.0
    assert tagger.loss(other, wanted).item() == pytest.approx(tagger.loss(hidden, wanted).item())


# --- place in the stream ----------------------------------------------------------------------------


def fake_pools(tasks: Any) -> Iterator[Pool]:
    """Pools of three batches of 100 tokens; every batch names its phase and place."""
    for name, start, count, _ in tasks:
        examples = [
            Example("copy", [1 + (name == "second"), start + i, *[9] * 98], [1.0] * 100) for i in range(count)
        ]
        yield Pool(cut(examples, 100), Counter({"ambiguous": 1}))


def seen_by(recipe: BaseRecipe, progress: Progress, most: int, pool: int = 3) -> list[tuple[int, int]]:
    seen = []
    for batch in batches(recipe, progress, BatchSizes(tokens=100, pool=pool), fake_pools):
        seen.append((int(batch.ids[0, 0]), int(batch.ids[0, 1])))
        progress.took(batch)
        if len(seen) == most:
            break
    return seen


@given(st.integers(1, 19))
def test_a_stop_at_any_batch_loses_and_repeats_nothing(stop: int):
    recipe = recipe_of(tokens=2000)
    whole = Progress("here")
    wanted = seen_by(recipe, whole, 100)
    assert wanted == [(1, i) for i in range(10)] + [(2, i) for i in range(10)]
    before = Progress("here")
    seen = seen_by(recipe, before, stop)
    after = Progress("there")
    after.restore(before.state())
    assert seen + seen_by(recipe, after, 100) == wanted
    assert (after.tokens, after.steps, after.left_out) == (whole.tokens, whole.steps, whole.left_out)
    assert {name: spent["tokens"] for name, spent in after.devices.items()} == {
        "here": 100 * stop,
        "there": 2000 - 100 * stop,
    }


def test_another_pool_size_goes_on_behind_the_pool_in_work():
    recipe, progress = recipe_of(tokens=2000), Progress("here")
    assert seen_by(recipe, progress, 2) == [(1, 0), (1, 1)]
    assert seen_by(recipe, progress, 3, pool=5) == [(1, 3), (1, 4), (1, 5)]


# --- induction --------------------------------------------------------------------------------------


def copied(model: Any) -> float:
    """Share of right tokens in the second half of random sequences that are written twice."""
    generator = torch.Generator().manual_seed(0)
    once = torch.randint(10, 2000, (6, 60), generator=generator)
    between = torch.randint(10, 2000, (6, 9), generator=generator)
    ids = torch.cat([once, between, once], dim=1)
    with torch.no_grad():
        right = model.eval()(ids).logits[:, :-1].argmax(-1) == ids[:, 1:]
    return right[:, 72:].float().mean().item()


def test_a_model_copies_before_its_first_step():
    sizes = Architecture(hidden_size=256, num_layers=3, num_heads=4, num_kv_heads=4, rope_theta=100_000.0)
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(make_config(sizes, vocab_size=2000, context_tokens=256))
    assert copied(model) < 0.05
    install(model, seed=0)
    assert copied(model) > 0.9


@pytest.mark.parametrize("changes", [{"num_layers": 1}, {"num_kv_heads": 1}])
def test_a_circuit_without_room_is_refused(changes: dict[str, int]):
    config = make_config(SMALLEST.model_copy(update=changes), vocab_size=300, context_tokens=64)
    with pytest.raises(ConfigError, match="induction"):
        install(Qwen2ForCausalLM(config), seed=0)


# --- probes -----------------------------------------------------------------------------------------


def test_a_probe_marks_exactly_the_values(lessons: Lessons, tokenizer_folder: Path):
    tokenizer = load_tokenizer(tokenizer_folder)
    documents = [d for d in lessons.held_out("validation", 30) if d.spans]
    assert len(documents) > 5
    for document in documents:
        probe = make_probe(document, tokenizer, "own")
        answer = probe.ids[probe.first :]
        assert len(answer) == len(probe.is_value)
        marked = tokenizer.decode([t for t, value in zip(answer, probe.is_value, strict=True) if value])
        wanted = "".join(json.dumps(s.value(document.text), ensure_ascii=False)[1:-1] for s in document.spans)
        # A token across a quotation mark belongs to no value.
        assert len(wanted) - 2 * len(document.spans) <= len(marked) <= len(wanted)


# --- run --------------------------------------------------------------------------------------------


def history(folder: Path) -> list[dict[str, Any]]:
    timing = ("seconds", "tokens_per_s")
    rows = [json.loads(line) for line in (folder / HISTORY).read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in timing} for row in rows]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(folder / STATE, weights_only=True)["learner"]["model"]
    return state


def test_a_run_that_is_stopped_and_started_again_is_the_same_run(
    whole_run: Path, tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    recipe = recipe_of(folder=str(tmp_path / "run"), tokenizer=str(tokenizer_folder))
    step, steps = Learner.step, 0

    def interrupted(self: Learner, *args: Any) -> None:
        nonlocal steps
        step(self, *args)
        steps += 1
        if steps in (5, 19):
            signal.raise_signal(signal.SIGTERM if steps == 5 else signal.SIGINT)

    monkeypatch.setattr(Learner, "step", interrupted)
    assert [pretrain.STAGE.make(recipe) for _ in range(3)] == [False, False, True]
    assert history(tmp_path / "run") == history(whole_run)
    mine, whole = weights(tmp_path / "run"), weights(whole_run)
    assert all(torch.equal(mine[name], whole[name]) for name in whole)


@pytest.mark.slow
def test_the_number_of_processes_changes_nothing(whole_run: Path, tokenizer_folder: Path, tmp_path: Path):
    paths = {"folder": str(tmp_path / "run"), "tokenizer": str(tokenizer_folder)}
    assert pretrain.STAGE.make(recipe_of(workers=2, **paths))
    assert history(tmp_path / "run") == history(whole_run)


@pytest.mark.slow
@pytest.mark.skipif(not can_compile(), reason="no C++ compiler")
def test_a_compiled_run_learns_the_same_up_to_rounding(
    whole_run: Path, tokenizer_folder: Path, tmp_path: Path
):
    paths = {"folder": str(tmp_path / "run"), "tokenizer": str(tokenizer_folder)}
    assert pretrain.STAGE.make(recipe_of(compiled=True, **paths))
    mine, plain = history(tmp_path / "run")[-1], history(whole_run)[-1]
    assert mine.pop("phase") == plain.pop("phase")
    # Shares are of some dozen tokens: one or two of them may fall to the other side.
    assert mine == pytest.approx(plain, rel=0.01, abs=0.03)


def test_it_learns_and_says_how_far_it_is(whole_run: Path):
    rows = history(whole_run)
    assert rows[-1]["tokens"] >= TINY["tokens"]
    assert [row["phase"] for row in rows][:: len(rows) - 1] == ["first", "second"]
    assert rows[-1]["loss_own"] < rows[0]["loss_own"]
    assert 0 <= rows[-1]["copied_foreign"] <= 1


def test_the_minutes_end_a_piece_and_a_finished_run_is_not_repeated(
    tokenizer_folder: Path, whole_run: Path, tmp_path: Path
):
    paths = {"folder": str(tmp_path / "run"), "tokenizer": str(tokenizer_folder)}
    assert not pretrain.STAGE.make(recipe_of(max_minutes=1e-6, **paths))
    assert torch.load(tmp_path / "run" / STATE, weights_only=True)["progress"]["steps"] == 1
    before = (whole_run / STATE).stat().st_mtime_ns
    assert pretrain.STAGE.make(recipe_of(folder=str(whole_run), tokenizer=str(tokenizer_folder)))
    assert (whole_run / STATE).stat().st_mtime_ns == before


def test_the_finished_folder_serves(whole_run: Path):
    manifest = read_manifest(whole_run / "model")
    assert manifest.method == "pretraining"
    card = (whole_run / "model" / "README.md").read_text(encoding="utf-8")
    assert "Made by `pretraining` from nothing (random weights)" in card
    assert "| phases.first.window_chars | 80 |" in card
    assert manifest.training["tokens"] >= TINY["tokens"]
    assert manifest.data_sources["chat.belle-seed-zh"] == {"licence": "ODC-By-1.0"}
    config = ExtractorConfig(
        model=whole_run / "model", detectors="model", engine="transformers", max_new_tokens=64
    )
    with Extractor.open(config) as extractor:
        [result] = extractor.extract_all(["我叫张三，电话13800138000。"])
    assert result.answers
    assert not result.failure


def test_export_writes_what_the_last_checkpoint_knows(
    whole_run: Path, tokenizer_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    recipe = recipe_of(folder=str(whole_run), tokenizer=str(tokenizer_folder))
    pretrain.STAGE.export(recipe, tmp_path / "model")
    assert {p.name for p in (tmp_path / "model").iterdir()} >= {"model.safetensors", "README.md"}
    arguments = ["--set", f"folder={tmp_path}/none", "--export", str(tmp_path / "other")]
    assert pretrain.main(arguments) == 2
    assert "no checkpoint" in capsys.readouterr().err


def test_a_checkpoint_of_another_architecture_is_refused(whole_run: Path, tokenizer_folder: Path):
    other = {**TINY["architecture"], "num_layers": 3}
    with pytest.raises(ValueError, match="another architecture"):
        PretrainRun(recipe_of(folder=str(whole_run), architecture=other), whole_run)


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PII_CACHE", str(tmp_path))
    assert recipe_of().folder_or("base") == tmp_path / "base"
    monkeypatch.delenv("PII_CACHE")
    assert recipe_of().folder_or("base") == Path.home() / ".cache/pii-extraction/base"
    assert recipe_of(folder="here").folder_or("base") == Path("here")
