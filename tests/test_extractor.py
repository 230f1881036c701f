"""Whatever the model writes, every span is a slice of the text, and nothing is lost silently."""

import asyncio
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from starlette.testclient import TestClient

from configs.errors import ConfigError
from pii import codec
from pii.errors import ModelFolderError, RequestError
from pii.model_folder import ModelManifest, read_manifest
from pii.spans import Span
from serving.app import create_app
from serving.engines import choice
from serving.engines.protocol import EngineError, Generation, VllmSettings
from serving.extraction import Extraction
from serving.extractor import Extractor
from serving.extractor_config import EndBias, ExtractorConfig, Profile
from serving.model_detector import MAX_SPLITS, ModelDetector
from serving.settings import ServeConfig
from tests.strategies import texts

SEED = "我叫张三，电话13800138000"
PATTERNS = ExtractorConfig(detectors="patterns")


@pytest.fixture(scope="module")
def untrained(untrained_model: Path) -> Iterator[Extractor]:
    config = ExtractorConfig(model=untrained_model, engine="transformers", max_new_tokens=32)
    with Extractor.open(config) as extractor:
        yield extractor


@pytest.fixture
def patterns() -> Extractor:
    return Extractor.open(PATTERNS)


class ScriptedEngine:
    """Answers from the prompt's text by a function; a letter is a token."""

    name = description = "scripted"

    def __init__(self, answer: Callable[[str], str]) -> None:
        self.answer, self.prompts, self.running, self.most = answer, list[str](), 0, 0

    async def generate(
        self,
        prompt_ids: list[int],
        grammar: codec.Grammar | None,
        max_new_tokens: int,
        end_bias: float = 0.0,
        draft_ids: Sequence[int] = (),
    ) -> Generation:
        prompt = "".join(map(chr, prompt_ids))
        text = re.findall(
            r"<\|im_start\|>user\n(.*)<\|im_end\|>\n<\|im_start\|>assistant\n", prompt, re.DOTALL
        )[0]
        self.prompts.append(text)
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        answer = self.answer(text)
        fits = len(answer) < max_new_tokens
        written = answer if fits else answer[:max_new_tokens]
        zeros = (0.0,) * len(written)
        return Generation(written, tuple(map(ord, written)), zeros, "stop" if fits else "length")

    async def close(self) -> None:
        pass


class Letters:
    """A tokenizer that makes every letter a token, written as byte-level vocabularies write theirs."""

    added_tokens_decoder: ClassVar[dict[int, Any]] = {}

    def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
        return {"input_ids": [ord(char) for char in text]}

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        return ["b" * len(chr(token).encode()) for token in ids]


def detector(engine: Any, manifest: ModelManifest, **changes: Any) -> ModelDetector:
    sizes = {"context_tokens": 4000, "window_chars": 120, "window_margin": 20} | changes
    limits = {"max_new_tokens": sizes.pop("max_new_tokens", 500), "concurrency": sizes.pop("concurrency", 8)}
    return ModelDetector(engine, Letters(), manifest.model_copy(update=sizes), **limits)


def names(text: str) -> str:
    """The answer of a model that finds every ``NAME`` with a number behind it."""
    found = [{"type": "PERSON_NAME", "value": name} for name in re.findall(r"NAME\d+", text)]
    return json.dumps({"entities": found}, separators=(",", ":"))


@pytest.fixture(scope="module")
def manifest(untrained_model: Path) -> ModelManifest:
    return read_manifest(untrained_model)


def test_answers_in_groups_and_offsets_that_are_wrong(manifest: ModelManifest) -> None:
    text = "王五问李四，李四答王五"
    grouped = '{"PERSON_NAME":["王五","李四","李四","王五"]}'
    reading = asyncio.run(
        detector(ScriptedEngine(lambda _: grouped), manifest, answer_style="grouped").read(
            text, ["PERSON_NAME"]
        )
    )
    assert [span.value(text) for span in reading.spans] == ["王五", "李四", "李四", "王五"]
    assert reading.answers[0].valid_schema
    claims = [("王五", 0, 2), ("李四", 3, 6), ("李四", 6, 8)]
    said = [{"type": "PERSON_NAME", "value": value, "start": s, "end": e} for value, s, e in claims]
    engine = ScriptedEngine(lambda _: json.dumps({"entities": said}, separators=(",", ":")))
    reading = asyncio.run(detector(engine, manifest, answer_style="with_offsets").read(text, ["PERSON_NAME"]))
    assert len(reading.spans) == 3
    assert reading.answers[0].num_wrong_offsets == 1


# --- whatever the model writes ----------------------------------------------------------------------


def check(text: str, extraction: Extraction) -> None:
    for spans in (extraction.spans, extraction.model_spans, extraction.pattern_spans):
        assert list(spans) == sorted(spans)
        assert all(one.end <= other.start for one, other in itertools.pairwise(spans))
        assert all(text[s.start : s.end] == s.as_entity(text)["value"] != "" for s in spans)
    json.dumps([span.as_entity(text) for span in extraction.spans]).encode("utf-8")


@settings(max_examples=15)
@given(texts)
def test_an_untrained_model_gives_slices_of_any_text(untrained: Extractor, text: str) -> None:
    extraction = next(untrained.extract_all([text]))
    check(text, extraction)
    assert len(extraction.answers) >= extraction.num_windows


def test_calling_from_any_event_loop(untrained: Extractor) -> None:
    # Three loops one after the other: the engine belongs to none of them.
    for _ in range(3):
        check(SEED, asyncio.run(untrained.extract(SEED)))


def test_empty_text_asks_nobody(untrained: Extractor) -> None:
    assert asyncio.run(untrained.extract("")) == Extraction()


def test_many_texts_come_back_in_order(untrained: Extractor) -> None:
    sent = [f"{number}号：{SEED}" for number in range(5)]
    singly = [asyncio.run(untrained.extract(text)) for text in sent]
    assert list(untrained.extract_all(iter(sent))) == singly


def test_a_failing_engine_raises_and_loses_the_text(
    untrained: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> Generation:
        raise EngineError("gone")

    assert untrained._detector is not None
    monkeypatch.setattr(untrained._detector, "_engine", type("Failing", (), {"generate": fail})())
    # One window's failure is the text's, as itself and not as a group of one.
    with pytest.raises(EngineError, match="gone"):
        asyncio.run(untrained.extract(SEED))
    with pytest.raises(EngineError, match="gone"):
        list(untrained.extract_all([SEED * 30]))


# --- who looks, and for what ------------------------------------------------------------------------


def test_the_seed_text(patterns: Extractor) -> None:
    spans = asyncio.run(patterns.extract(SEED)).spans
    assert spans == (Span(2, 4, "PERSON_NAME"), Span(7, 18, "PHONE_NUMBER"))
    assert {span.source for span in spans} == {"pattern"}


def test_each_detector_alone_and_both(untrained: Extractor) -> None:
    merged, model, rules = (
        next(untrained.extract_all([SEED], None, d)) for d in ("merged", "model", "patterns")
    )
    assert merged.model_spans == model.spans == model.model_spans
    assert merged.pattern_spans == rules.spans == rules.pattern_spans
    assert not model.pattern_spans
    assert not rules.model_spans
    assert not rules.answers


def test_only_the_requested_types_are_found(untrained: Extractor) -> None:
    extraction = next(untrained.extract_all([SEED], ["PHONE_NUMBER"]))
    assert {s.type for s in extraction.spans + extraction.model_spans} <= {"PHONE_NUMBER"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (5, "text_not_string"),
        (None, "text_not_string"),
        ("a\ud800", "text_not_unicode"),
        ("aaaa", "text_too_long"),
    ],
)
def test_texts_that_cannot_be_read(text: Any, code: str) -> None:
    extractor = Extractor.open(ExtractorConfig(detectors="patterns", max_text_chars=3))
    with pytest.raises(RequestError) as error:
        asyncio.run(extractor.extract(text))
    assert (error.value.code, error.value.place) == (code, "text")
    assert str(text) not in str(error.value)


@pytest.mark.parametrize(
    ("types", "detectors", "code", "place"),
    [
        (["PERSON_NAME", "NAME"], None, "unknown_type", "types[1]"),
        ([], None, "no_types", "types"),
        (["PHONE_NUMBER", "LOCATION"], None, "type_not_supported", "types[1]"),
        (None, "model", "no_model", "detectors"),
    ],
)
def test_requests_that_cannot_be_served(
    patterns: Extractor, types: Any, detectors: Any, code: str, place: str
) -> None:
    with pytest.raises(RequestError) as error:
        asyncio.run(patterns.extract(SEED, types, detectors))
    assert (error.value.code, error.value.place) == (code, place)


def test_a_type_that_the_model_never_saw_is_left_to_the_patterns(
    untrained: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert untrained.manifest is not None
    trained = untrained.manifest.model_copy(update={"entity_types": ("PERSON_NAME", "LOCATION")})
    monkeypatch.setattr(untrained, "manifest", trained)
    assert untrained.plan(["PHONE_NUMBER"]).model_types == ()
    assert untrained.plan(["PHONE_NUMBER"]).pattern_types == ("PHONE_NUMBER",)
    assert untrained.plan(None).model_types == ("PERSON_NAME",)
    assert untrained.plan(["LOCATION"]).pattern_types == ()
    with pytest.raises(RequestError, match="do not know"):
        untrained.plan(["PHONE_NUMBER"], "model")
    with pytest.raises(RequestError, match="do not know"):
        untrained.plan(["ORGANIZATION"])


def test_patterns_alone_need_neither_model_nor_torch() -> None:
    code = (
        "import sys\n"
        "from serving.extractor import Extractor\n"
        "from serving.extractor_config import ExtractorConfig\n"
        "extractor = Extractor.open(ExtractorConfig(detectors='patterns', model=None))\n"
        f"assert len(next(extractor.extract_all([{SEED!r}])).spans) == 2\n"
        "heavy = {'torch', 'transformers', 'vllm', 'fastapi', 'numpy'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_missing_model_is_said_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="no such model folder"):
        Extractor.open(ExtractorConfig(model=tmp_path / "none"))


def test_an_engine_that_is_not_installed_is_said(
    untrained_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="not installed"):
        Extractor.open(ExtractorConfig(model=untrained_model, engine="vllm"))


# --- long texts -------------------------------------------------------------------------------------


def planted(position: int, value: str, length: int = 20_000) -> str:
    """Filler of a given length with a value at a given position."""
    filler = "今天天气很好，我们去公园散步。然后回家吃饭！\n" * (length // 20)
    return (filler[:position] + value + filler[position:])[: length + len(value)]


@pytest.mark.parametrize("position", [*range(0, 20_000, 997), 19_999, 20_000])
def test_patterns_find_a_number_anywhere_in_a_long_text(patterns: Extractor, position: int) -> None:
    text = planted(position, "13800138000")
    spans = next(patterns.extract_all([text])).spans
    assert Span(position, position + 11, "PHONE_NUMBER") in spans


@pytest.mark.parametrize("position", [0, 1, 79, 80, 99, 100, 101, 117, 120, 121, 500, 1234, 1990, 2000])
def test_the_model_is_shown_every_part_of_a_long_text(manifest: ModelManifest, position: int) -> None:
    engine = ScriptedEngine(names)
    text = planted(position, "NAME7", 2000)
    reading = asyncio.run(detector(engine, manifest).read(text, ("PERSON_NAME",)))
    assert reading.spans == (Span(position, position + 5, "PERSON_NAME"),)
    assert reading.num_windows == len(engine.prompts) > 15
    assert all(len(prompt) <= 120 for prompt in engine.prompts)
    assert 1 < engine.most <= 8
    assert not reading.truncated


def test_a_window_whose_answer_does_not_fit_is_split_and_asked_again(manifest: ModelManifest) -> None:
    engine = ScriptedEngine(names)
    text = " ".join(f"NAME{n}" for n in range(10, 24))
    reading = asyncio.run(detector(engine, manifest, max_new_tokens=300).read(text, ("PERSON_NAME",)))
    assert [span.value(text) for span in reading.spans] == text.split()
    assert not reading.truncated
    # A tree of halves: one more leaf than there are splits, and only the leaves are complete.
    num_split = sum(facts.asked_again for facts in reading.answers)
    assert reading.num_windows == num_split + 1 == len(reading.answers) - num_split > 2
    assert all(facts.valid_json != facts.asked_again for facts in reading.answers)


def test_what_never_fits_is_reported_with_what_could_be_read(manifest: ModelManifest) -> None:
    loop = '{"entities":[' + '{"type":"PERSON_NAME","value":"a"},' * 100
    engine = ScriptedEngine(lambda text: loop)
    text = "a" * 80
    reading = asyncio.run(detector(engine, manifest).read(text, ("PERSON_NAME",)))
    assert reading.truncated == ((0, 80),)
    assert reading.spans
    assert reading.num_windows == 2**MAX_SPLITS
    assert len(reading.answers) == 2 ** (MAX_SPLITS + 1) - 1
    assert {facts.problem for facts in reading.answers} == {"truncated"}


def test_an_answer_that_loops_is_not_asked_for_again(manifest: ModelManifest) -> None:
    loop = '{"entities":[' + '{"type":"PERSON_NAME","value":"NAME7"},' * 100
    text = planted(40, "NAME7", 80)
    engine = ScriptedEngine(lambda _: loop)
    reading = asyncio.run(detector(engine, manifest).read(text, ("PERSON_NAME",)))
    assert len(reading.answers) == 1
    assert reading.spans == (Span(40, 45, "PERSON_NAME"),)
    assert reading.truncated == ((0, len(text)),)
    assert reading.num_ungrounded > 1


def test_a_prompt_without_room_for_an_answer_is_split_before_it_is_asked(manifest: ModelManifest) -> None:
    engine = ScriptedEngine(names)
    text = planted(30, "NAME7", 100)
    reading = asyncio.run(detector(engine, manifest, context_tokens=225).read(text, ("PERSON_NAME",)))
    assert reading.spans == (Span(30, 35, "PERSON_NAME"),)
    assert reading.answers[0].problem == "no_room"
    assert text not in engine.prompts
    assert not reading.truncated


def test_values_that_are_not_in_the_text_are_counted(manifest: ModelManifest) -> None:
    invented = '{"entities":[{"type":"PERSON_NAME","value":"NAME7"},{"type":"PERSON_NAME","value":"zzz"}]}'
    reading = asyncio.run(
        detector(ScriptedEngine(lambda _: invented), manifest).read("a NAME7 b", ("PERSON_NAME",))
    )
    assert (reading.spans, reading.num_ungrounded) == ((Span(2, 7, "PERSON_NAME"),), 1)


def test_types_that_were_not_asked_for_are_not_taken(manifest: ModelManifest) -> None:
    other = '{"entities":[{"type":"ADDRESS","value":"NAME7"}]}'
    reading = asyncio.run(
        detector(ScriptedEngine(lambda _: other), manifest).read("a NAME7 b", ("PERSON_NAME",))
    )
    assert (reading.spans, reading.num_ungrounded) == ((), 1)


def test_an_answer_that_is_no_json_is_a_result(manifest: ModelManifest) -> None:
    reading = asyncio.run(
        detector(ScriptedEngine(lambda _: "I am sorry"), manifest).read("NAME7", ("PERSON_NAME",))
    )
    assert (reading.spans, reading.answers[0].problem, reading.answers[0].valid_json) == (
        (),
        "not_json",
        False,
    )


def test_patterns_alone_read_many_texts_as_they_read_each(patterns: Extractor) -> None:
    sent = [SEED, "", "nothing", f"{SEED}\0", SEED * 30, "姓名：", "张三"] * 20
    singly = [asyncio.run(patterns.extract(text)) for text in sent]
    assert list(patterns.extract_all(sent)) == singly
    assert sum(bool(extraction.spans) for extraction in singly) == 60


def test_texts_under_way_are_bounded(untrained: Extractor) -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield "x"

    results = untrained.extract_all(endless())
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert taken <= untrained.config.concurrency


# --- the recipe -------------------------------------------------------------------------------------


def test_a_model_is_required_unless_patterns_look_alone() -> None:
    with pytest.raises(ValueError, match="model is required"):
        ExtractorConfig(model=None)
    assert ExtractorConfig(model=None, detectors="patterns").model is None


@pytest.mark.parametrize("profile", ["mini", "qwen2-1.5b"])
def test_the_recipes_name_every_field(repository: Path, profile: str) -> None:
    """All but the policy's prose, which belongs to policies in files of their own."""
    from configs.reader import load, read_yaml
    from pii.model_folder import find
    from serving.settings import ServeConfig

    path = repository / "configs" / profile / "serve.yaml"
    config = load(path, ServeConfig)
    values = config.model_dump(mode="json")
    del values["redaction"]["description"], values["redaction"]["default"]["basis"]
    named = read_yaml(path)
    assert values["extractor"].pop("model") == str(find(named["extractor"].pop("model")))
    assert values == named
    if profile == "mini":
        # Defaults hold for any model; how far to look was measured for this one.
        extractor = config.extractor.model_copy(update={"end_bias": EndBias()})
        assert config.model_copy(update={"extractor": extractor}) == ServeConfig()


def test_a_profile_sets_what_the_recipe_leaves_open() -> None:
    throughput, latency = (ExtractorConfig(profile=name) for name in ("throughput", "latency"))
    assert throughput.chosen.speculative_tokens == 0 < latency.chosen.speculative_tokens
    assert throughput.chosen.max_batch > latency.chosen.max_batch
    own = ExtractorConfig(profile="latency", max_batch=3, vllm=VllmSettings(speculative_tokens=0))
    assert own.chosen == Profile(max_batch=3, speculative_tokens=0)
    with pytest.raises(ValueError, match="profile has to be one of latency, throughput"):
        ExtractorConfig(profile="both")


def test_what_a_profile_sets_reaches_the_engine_and_is_said(
    untrained_model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: dict[str, Any] = {}
    start = choice.start

    async def watched(*arguments: Any, **settings: Any) -> Any:
        asked.update(settings)
        return await start(*arguments, **settings)

    monkeypatch.setattr(choice, "start", watched)
    caplog.set_level("INFO")
    with Extractor.open(
        ExtractorConfig(model=untrained_model, engine="transformers", profile="latency")
    ) as extractor:
        config = ServeConfig(extractor=extractor.config)
        with TestClient(create_app(config, extractor)) as client:
            told = client.get("/readyz").json()["profile"]
    assert told == {"name": "latency", "max_batch": 8, "speculative_tokens": 4}
    assert (asked["max_batch"], asked["vllm"].speculative_tokens) == (8, 4)
    assert "profile latency: at most 8 windows together, 4 speculative tokens" in caplog.text
