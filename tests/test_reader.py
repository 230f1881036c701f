"""The strict reader: every way to get a recipe wrong is one message with the dotted path."""

from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, SecretStr

from configs.errors import ConfigError
from configs.reader import StrictConfig, dump, load, override, parse, read_yaml

SECRET = "hunter2-4f9c"


class Optimiser(StrictConfig):
    lr: float = Field(default=1e-4, gt=0, le=1)
    betas: tuple[float, float] = (0.9, 0.95)


class Recipe(StrictConfig):
    name: str = "mini"
    steps: int = Field(default=10, ge=1)
    packing: bool = False
    method: Literal["full", "lora"] = "full"
    folder: Path = Path("runs/mini")
    targets: list[str] = Field(default_factory=list)
    optimiser: Optimiser = Optimiser()
    token: SecretStr | None = None


def read(tmp_path: Path, text: str, *assignments: str) -> Recipe:
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, Recipe, assignments)


def message(tmp_path: Path, text: str, *assignments: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, *assignments)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("stepz: 3", ["stepz: unknown key"]),
        ("optimiser: {learning_rate: 0.1}", ["optimiser.learning_rate: unknown key"]),
        ("steps: '3'", ["steps: ", "integer"]),
        ("steps: 3.5", ["steps: ", "integer"]),
        ("steps: yes", ["steps: ", "integer"]),
        ("steps: 0", ["steps: ", "greater than or equal to 1"]),
        ("packing: 1", ["packing: ", "boolean"]),
        ("name: no", ["name: ", "string"]),
        ("name: 12:30", ["name: ", "string"]),
        ("name:", ["name: ", "string"]),
        ("method: qlora", ["method: ", "'full' or 'lora'"]),
        ("optimiser: {lr: 2}", ["optimiser.lr: ", "less than or equal to 1"]),
        ("optimiser: {lr: .inf}", ["optimiser.lr: ", "finite"]),
        ("optimiser: {lr: .nan}", ["optimiser.lr: ", "finite"]),
        ("optimiser: {betas: [0.9, x]}", ["optimiser.betas.1: ", "number"]),
        ("optimiser: {betas: [0.9]}", ["optimiser.betas.1: ", "required"]),
        ("targets: [q, 1]", ["targets.1: ", "string"]),
        ("targets: q", ["targets: ", "array"]),
        ("steps: 0\nname: 7", ["steps: ", "name: "]),
    ],
)
def test_a_wrong_recipe_names_the_dotted_path_and_what_was_expected(
    tmp_path: Path, text: str, parts: list[str]
) -> None:
    said = message(tmp_path, text)
    assert said.startswith(f"{tmp_path / 'recipe.yaml'}: ")
    assert all(part in said for part in parts), said


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [", ":1: not YAML"),
        ("a: 1\nb: ]", ":2: not YAML"),
        ("a: 1\nb: 2\na: 3", ":3: the key 'a' stands twice"),
        ("a: {b: 1, b: 2}", ":1: the key 'b' stands twice"),
        ("? [1, 2]\n: 3", ":1: a key has to be a plain word"),
        ("a: !!int abc", ": holds a value that cannot be read"),
        ("a: &a [*a]", "not YAML"),
        ("a: !!python/object:os.system {}", ":1: not YAML"),
        ("a: " + "[" * 5000, ": holds a value that cannot be read"),
        ("- 1", ": expected a mapping"),
        ("just words", ": expected a mapping"),
        ("targets: !!set {a}", ": sets, binary values"),
        ("name: !!binary aGk=", ": sets, binary values"),
    ],
)
def test_what_is_not_a_recipe_is_one_line_with_the_place(tmp_path: Path, text: str, reason: str) -> None:
    said = message(tmp_path, text)
    assert said.startswith(str(tmp_path / "recipe.yaml"))
    assert reason in said
    assert "\n" not in said


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "latin.yaml"
    bad.write_bytes(b"name: caf\xe9")
    for path, reason in ((tmp_path / "none.yaml", "no such file"), (tmp_path, "cannot"), (bad, "cannot")):
        with pytest.raises(ConfigError, match=reason):
            load(path, Recipe)


def test_an_empty_recipe_is_all_defaults(tmp_path: Path) -> None:
    assert read(tmp_path, "") == Recipe() == read(tmp_path, "# nothing\n")


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("1e-4", 1e-4),
        ("1.0e-4", 1e-4),
        ("1.5e-1", 0.15),
        ("5.e-1", 0.5),
        (".5e0", 0.5),
        ("1E-3", 1e-3),
        ("1", 1.0),
    ],
)
def test_numbers_are_numbers_however_the_exponent_is_written(
    tmp_path: Path, written: str, number: float
) -> None:
    assert read(tmp_path, f"optimiser: {{lr: {written}}}").optimiser.lr == number


@pytest.mark.parametrize("name", ["2024-01-01", "2024-13-45", "e5", "0.0.0.0", "1e5x"])
def test_words_that_look_like_other_types_stay_words(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, f"name: {name}").name == name


def test_anchors_and_merge_keys_work_and_may_be_overridden(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}", encoding="utf-8")
    assert read_yaml(path) == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}}


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("steps=3", Recipe(steps=3)),
        ("name='3'", Recipe(name="3")),
        ("name=a=b", Recipe(name="a=b")),
        ("name=", None),
        ("optimiser.lr=1e-3", Recipe(optimiser=Optimiser(lr=1e-3))),
        ("optimiser={lr: 0.5}", Recipe(optimiser=Optimiser(lr=0.5))),
        ("optimiser.betas=[0.1, 0.2]", Recipe(optimiser=Optimiser(betas=(0.1, 0.2)))),
        ("targets=[q, v]", Recipe(targets=["q", "v"])),
    ],
)
def test_set_reads_yaml_and_makes_missing_sections(
    tmp_path: Path, assignment: str, expected: Recipe | None
) -> None:
    if expected is None:
        assert "string" in message(tmp_path, "", assignment)
    else:
        assert read(tmp_path, "", assignment) == expected


def test_set_overrides_the_file_and_the_last_one_wins(tmp_path: Path) -> None:
    text = "steps: 2\noptimiser: {lr: 0.5, betas: [0.1, 0.2]}"
    made = read(tmp_path, text, "steps=3", "optimiser.lr=0.25", "steps=4")
    assert made == Recipe(steps=4, optimiser=Optimiser(lr=0.25, betas=(0.1, 0.2)))


def test_set_fills_a_section_that_is_written_but_empty(tmp_path: Path) -> None:
    assert read(tmp_path, "optimiser:\n", "optimiser.lr=0.5").optimiser.lr == 0.5


def test_set_changes_one_of_two_sections_that_share_an_anchor() -> None:
    shared = {"x": 1}
    before = {"a": shared, "b": shared}
    assert override(before, ["a.x=2"]) == {"a": {"x": 2}, "b": {"x": 1}}
    assert before == {"a": {"x": 1}, "b": {"x": 1}}


@pytest.mark.parametrize(
    ("assignment", "reason"),
    [
        ("steps", "number 1: expected dotted.key=value"),
        ("=3", "number 1: expected dotted.key=value"),
        ("optimiser..lr=1", "number 1: expected dotted.key=value"),
        ("steps.x=1", "--set steps.x: steps is not a mapping"),
        ("targets.0=q", "--set targets.0: targets is not a mapping"),
        ("steps=[", "--set steps:1: not YAML"),
        ("optimiser={lr: 1, lr: 2}", "--set optimiser:1: the key 'lr' stands twice"),
        ("optimiser.rate=1", "optimiser.rate: unknown key"),
    ],
)
def test_a_wrong_set_is_named(tmp_path: Path, assignment: str, reason: str) -> None:
    assert reason in message(tmp_path, "steps: 1\ntargets: [a]", assignment)


@pytest.mark.parametrize(
    ("text", "assignments"),
    [
        (f"token: [{SECRET}]", ()),
        (f"token: {{{SECRET}: 1}}", ()),
        (f"steps: {SECRET}", ()),
        (f"method: {SECRET}", ()),
        (f"token: '{SECRET}", ()),
        (f"token: !!int {SECRET}", ()),
        ("", (f"token:{SECRET}",)),
        ("", (f"token=[{SECRET}",)),
        ("", (f"steps={SECRET}",)),
    ],
)
def test_no_message_repeats_a_value(tmp_path: Path, text: str, assignments: tuple[str, ...]) -> None:
    assert SECRET not in message(tmp_path, text, *assignments)


def test_a_secret_is_in_no_dump_and_no_repr() -> None:
    made = parse({"token": SECRET}, Recipe, "here")
    assert made.token is not None
    assert made.token.get_secret_value() == SECRET
    assert SECRET not in dump(made) + repr(made)


def test_what_is_no_mapping_is_refused_by_parse() -> None:
    with pytest.raises(ConfigError, match="here: expected a mapping"):
        parse([1], Recipe, "here")


def test_a_config_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Recipe().steps = 3  # type: ignore[misc]


class Words(StrictConfig):
    words: list[str]
    table: dict[str, float]
    free: dict[str, Any] = Field(default_factory=dict)


# What YAML cannot carry: control characters and lone surrogates.
carried = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
tricky = st.sampled_from(
    [
        "1e4",
        "12e45678",
        "1.5e3",
        ".5e1",
        "no",
        "null",
        "~",
        "=",
        "<<",
        "2024-01-01",
        "0x10",
        "1_0",
        "12:30",
        "a: b",
        "",
    ]
)


@given(
    st.lists(carried | tricky),
    st.dictionaries(carried | tricky, st.floats(allow_nan=False, allow_infinity=False)),
)
def test_what_dump_writes_is_read_back_as_it_was(words: list[str], table: dict[str, float]) -> None:
    """The effective configuration of a run has to reproduce that run."""
    config = Words(words=words, table=table, free={"words": words})
    values = override({}, [f"dumped={dump(config)}"])["dumped"]
    assert parse(values, Words, "dump") == config
