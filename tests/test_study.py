"""A study runs the real stages once for each variant, shares what is the same, and can be cut off."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from configs.errors import ConfigError, StageError
from configs.reader import load, parse
from evaluation import study, study_stages
from evaluation.study_recipe import StudyConfig, combinations

ROW = {"id": "1", "source": "own", "language": "zh", "text": "电话13800138000，卡号6222021234567890128"}
ENTITY = {"type": "PHONE_NUMBER", "start": 2, "end": 13, "value": "13800138000"}


def spec(**more):
    return {
        "question": "Which?",
        "output": "out",
        "stages": {
            "data": {"command": "data", "recipe": "data.yaml"},
            "train": {"command": "train", "recipe": "train.yaml"},
            "eval": {"command": "eval", "recipe": "eval.yaml", "set": {"seed": 7}},
        },
        "variants": {"a": {}, "b": {"train.lora.rank": 8}, "c": {"data.examples": 9}},
        "columns": {"F1": {"stage": "eval", "metric": "splits.test.f1", "unit": "percent"}},
        "plot": ["F1"],
        **more,
    }


@pytest.fixture
def recipes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, values in {
        "data": {"folder": "data/x", "examples": 3},
        "train": {"data": "data/x", "output": "runs/x", "lora": {"alpha": 4}},
        "eval": {
            "output": "runs/x/eval",
            "splits": {"test": {"file": "data/x/test.jsonl"}, "other": {"file": "data/xy/test.jsonl"}},
            "extractor": {"model": ["runs/x/model", "models/x"]},
        },
    }.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(values))


def planned(**more):
    config = parse(spec(**more), StudyConfig, "test")
    return {name: study.plan(config, changes) for name, changes in config.all_variants().items()}


def test_each_stage_finds_what_the_stages_before_it_made(recipes):
    data, train, evaluation = planned()["b"]
    assert data.values == {"folder": str(data.folder), "examples": 3}
    assert train.values["data"] == str(data.folder)
    assert train.values["lora"] == {"alpha": 4, "rank": 8}
    assert evaluation.values["splits"]["test"]["file"] == f"{data.folder}/test.jsonl"
    assert evaluation.values["extractor"]["model"] == [f"{train.folder}/model", "models/x"]
    assert evaluation.values["seed"] == 7
    # A folder whose name only begins alike is another one.
    assert evaluation.values["splits"]["other"]["file"] == "data/xy/test.jsonl"


def test_variants_share_the_folders_of_stages_in_which_they_do_not_differ(recipes):
    plans = planned()
    folders = {name: [run.folder for run in runs] for name, runs in plans.items()}
    assert folders["a"][0] == folders["b"][0] != folders["c"][0]
    assert len({folders[name][1] for name in "abc"}) == 3
    assert len({folders[name][2] for name in "abc"}) == 3
    again = planned()
    assert {name: [run.folder for run in runs] for name, runs in again.items()} == folders


def test_a_grid_is_every_combination():
    found = combinations({"train.lora.rank": [4, 8], "train.lora.targets": ["qv", ["a", "b"]]})
    assert list(found) == [
        "rank=4 targets=qv",
        "rank=4 targets=a,b",
        "rank=8 targets=qv",
        "rank=8 targets=a,b",
    ]
    assert found["rank=8 targets=a,b"] == {"train.lora.rank": 8, "train.lora.targets": ["a", "b"]}
    assert combinations({}) == {}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"variants": {}}, "variants or a grid"),
        ({"variants": {"a": {"nope.x": 1}}}, "nope.x"),
        ({"variants": {"a": {"eval": 1}}}, "stage.field"),
        ({"columns": {"F1": {"stage": "x", "metric": "y"}}}, "no such stage"),
        ({"plot": ["F2"]}, "no such column"),
        ({"stages": {"eval": {"command": "eval"}}, "variants": {"a": {}}}, "pii eval reads a recipe"),
        ({"stages": {"x": {"command": "forgetting", "recipe": "a.yaml"}}}, "pii forgetting reads no recipe"),
        ({"stages": {"x": {"command": "forgetting", "set": {"a": 1}}}}, "no fields to set"),
    ],
)
def test_a_study_that_does_not_fit_together_is_refused(change, told):
    with pytest.raises(ConfigError, match=told):
        parse(spec(**change), StudyConfig, "test")


FORGETTING = {"command": "forgetting", "arguments": ["--model", "runs/x/model", "--data", "data/x"]}


def test_a_stage_without_a_recipe_gets_the_folders_on_its_command_line(recipes):
    stages = {**spec()["stages"], "forgetting": FORGETTING}
    data, train, _, forgetting = planned(stages=stages)["b"]
    assert forgetting.arguments == ("--model", f"{train.folder}/model", "--data", str(data.folder))
    assert forgetting.values is None


def test_what_such_a_stage_prints_is_its_report_and_is_kept_only_where_it_ended_well(recipes, monkeypatch):
    run = planned(stages={**spec()["stages"], "forgetting": FORGETTING})["a"][-1]
    codes = iter((2, 0))

    def fake(words, **how):
        assert words[1:4] == ["-m", "pii", "forgetting"]
        assert "--config" not in words
        return subprocess.CompletedProcess(words, next(codes), '{"chat": {"loss_after": 2.5}}')

    monkeypatch.setattr(study_stages.subprocess, "run", fake)
    with pytest.raises(StageError, match="exit code 2"):
        study_stages.execute(run)
    assert not run.is_done
    study_stages.execute(run)
    assert run.is_done
    assert json.loads(run.result.read_text()) == {"chat": {"loss_after": 2.5}}


def test_rounds_take_the_variants_in_turns_and_repeat_the_last_stage_alone(recipes):
    plans = planned(variants={"a": {"eval.seed": 1}, "b": {"eval.seed": 2}})
    ran, folders = [], set()
    for name, run in study.schedule(plans, 3):
        # As `study` does: what is finished is passed over.
        if run.folder not in folders:
            folders.add(run.folder)
            ran.append(f"{name} {run.stage}")
            assert run.values["folder" if run.stage == "data" else "output"] == str(run.folder)
    turns = ["a eval", "b eval", "b eval", "a eval", "a eval", "b eval"]
    assert ran == ["a data", "a train", *turns]


def test_rounds_give_medians_their_range_and_the_ratio_of_each_round(recipes, monkeypatch):
    """The machine is twice as slow in the second round; the ratio does not see it."""
    columns = {"speed": {"stage": "eval", "metric": "made.speed", "ratio": True}}
    variants = {"a": {"eval.seed": 1}, "b": {"eval.seed": 2}}
    config = parse(spec(columns=columns, variants=variants, plot=["speed"], rounds=3), StudyConfig, "test")
    speeds = iter((10.0, 30.0, 15.0, 5.0, 12.0, 36.0))

    def fake(run):
        run.folder.mkdir(parents=True)
        (run.folder / "manifest.json").write_text("{}")
        if run.stage == "eval":
            run.result.write_text(json.dumps({"made": {"speed": next(speeds)}}))

    monkeypatch.setattr(study, "execute", fake)
    made = study.study(config)
    a, b = (made["variants"][name]["numbers"]["speed"] for name in "ab")
    assert a == {**a, "value": 10.0, "low": 5.0, "high": 12.0, "rounds": [10.0, 5.0, 12.0]}
    assert b["rounds"] == [30.0, 15.0, 36.0]
    assert b["ratio"] == {"value": 3.0, "low": 3.0, "high": 3.0}
    assert "| 30 [15, 36], ×3 |" in (config.output / study.PAGE).read_text()


def test_a_recipe_without_a_folder_is_refused(recipes, tmp_path):
    (tmp_path / "eval.yaml").write_text("seed: 1\n")
    with pytest.raises(ConfigError, match="names no output"):
        planned()


SHIPPED = sorted(study.STUDIES.glob("*.yaml"))


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_the_studies_that_come_with_the_program_can_be_planned(file, repository, monkeypatch):
    """Every recipe is there, every changed field is of its schema, and no two variants are the same."""
    from data_pipeline.recipe import DataConfig
    from evaluation.recipe import EvalConfig
    from training.recipe import TrainRecipe

    monkeypatch.chdir(repository)
    schemas = {"data": DataConfig, "train": TrainRecipe}
    config = load(file, StudyConfig)
    lasts = set()
    for name, changes in config.all_variants().items():
        runs = study.plan(config, changes)
        for run in runs:
            if run.values is not None:
                parse(run.values, schemas.get(run.command, EvalConfig), f"{name}, {run.stage}")
        lasts.add(runs[-1].folder)
    assert len(lasts) == len(config.all_variants())


@pytest.fixture
def measured(tmp_path, monkeypatch, repository):
    """A study of one real stage: the patterns on twelve documents, strict or not about spans."""
    monkeypatch.setenv("PYTHONPATH", str(repository))
    file = tmp_path / "test.jsonl"
    rows = [{**ROW, "id": str(n), "entities": [ENTITY] * (n % 3 > 0)} for n in range(12)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = {
        "output": "x",
        "splits": {"test": {"file": str(file)}},
        "extractor": {"detectors": "patterns"},
        "num_resamples": 20,
    }
    (tmp_path / "eval.yaml").write_text(yaml.safe_dump(recipe))
    values = {
        "question": "How many documents?",
        "output": str(tmp_path / "out"),
        "stages": {"eval": {"command": "eval", "recipe": str(tmp_path / "eval.yaml")}},
        "grid": {"eval.max_documents": [4, 12]},
        "columns": {
            "documents": {"stage": "eval", "metric": "splits.test.num_documents"},
            "F1": {"stage": "eval", "metric": "splits.test.systems.patterns.strict.f1", "unit": "percent"},
        },
        "plot": ["F1"],
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(values))
    return tmp_path / "study.yaml"


@pytest.mark.slow
def test_a_study_measures_every_variant_and_repeats_nothing(measured, capsys, monkeypatch):
    assert study.main([str(measured)]) == 0
    folder = measured.parent / "out"
    made = json.loads((folder / study.REPORT).read_text())
    documents = {name: part["numbers"]["documents"]["value"] for name, part in made["variants"].items()}
    assert documents == {"max_documents=4": 4, "max_documents=12": 12}
    f1 = made["variants"]["max_documents=12"]["numbers"]["F1"]
    assert f1["low"] <= f1["value"] <= f1["high"]
    assert "| max_documents=12 |" in (folder / study.PAGE).read_text()
    assert "max_documents=12" in (folder / study.PLOT).read_text()
    assert "max_documents=12" in capsys.readouterr().out
    monkeypatch.setattr(study, "execute", lambda run: pytest.fail("a finished stage was run again"))
    assert study.main([str(measured)]) == 0


@pytest.mark.slow
def test_a_stage_that_fails_names_its_log_and_ends_the_study(measured, capsys):
    words = ["--set", "stages.eval.set={splits.test.file: nowhere.jsonl}"]
    assert study.main([str(measured), *words]) == 2
    told = capsys.readouterr().err
    assert "exit code 2" in told
    log = Path(told.rpartition("see ")[2].strip())
    assert "nowhere.jsonl: no such file" in log.read_text()


def test_a_field_is_changed_for_all_variants_beside_what_the_study_sets(recipes):
    config = study.changed(
        parse(spec(), StudyConfig, "test"), ["eval.extractor.engine=vllm", "data.examples=8"]
    )
    data, _, evaluation = study.plan(config, {})
    assert data.values["examples"] == 8
    assert evaluation.values["extractor"]["engine"] == "vllm"
    assert evaluation.values["extractor"]["model"][1] == "models/x"
    assert evaluation.values["seed"] == 7
    for wrong in ("nope.a=1", "eval=1", "eval.a"):
        with pytest.raises(ConfigError, match=r"stage\.field=value"):
            study.changed(config, [wrong])


def test_a_variant_that_is_not_there_is_named(measured, capsys):
    assert study.main([str(measured), "--only", "nope"]) == 2
    assert "--only nope" in capsys.readouterr().err
