"""A stage's folder: what is whole, what was cut off, what belongs to somebody else."""

import gc
import json
import subprocess
import sys
from pathlib import Path

import pytest

from configs.errors import StageError
from configs.reader import StrictConfig, load
from configs.stage import CONFIG, MANIFEST, Stage, file_hash, folder_hash, read_manifest, versions


class Recipe(StrictConfig):
    seed: int = 1


def stage(folder: Path, name: str = "data", seed: int = 1, **inputs: str) -> Stage:
    return Stage(name, folder, Recipe(seed=seed), inputs)


def finished(folder: Path, name: str = "data") -> None:
    made = stage(folder, name)
    made.begin()
    (folder / "rows.jsonl").write_text("{}\n", encoding="utf-8")
    made.finish(["rows.jsonl"], {"num_rows": 1})


def test_a_finished_stage_is_current_and_says_what_it_did(tmp_path: Path) -> None:
    assert not stage(tmp_path / "none").is_current()
    made = stage(tmp_path / "d", msra="abc")
    made.begin()
    (tmp_path / "d" / "rows.jsonl").write_text("{}\n", encoding="utf-8")
    manifest = made.finish(["rows.jsonl"], {"num_rows": 1})
    assert made.is_current()
    assert stage(tmp_path / "d", msra="abc").is_current()
    assert read_manifest(tmp_path / "d") == manifest
    assert manifest["stage"] == "data"
    assert manifest["config"] == {"seed": 1}
    assert manifest["inputs"] == {"msra": "abc"}
    assert manifest["outputs"] == {"rows.jsonl": file_hash(tmp_path / "d" / "rows.jsonl")}
    assert manifest["num_rows"] == 1
    assert load(tmp_path / "d" / CONFIG, Recipe) == Recipe(seed=1)


def test_another_config_input_or_stage_is_not_current(tmp_path: Path) -> None:
    finished(tmp_path)
    assert stage(tmp_path).is_current()
    assert not stage(tmp_path, seed=2).is_current()
    assert not stage(tmp_path, msra="abc").is_current()
    assert not stage(tmp_path, name="train").is_current()


def test_a_missing_output_is_not_current(tmp_path: Path) -> None:
    finished(tmp_path)
    (tmp_path / "rows.jsonl").unlink()
    assert not stage(tmp_path).is_current()


def test_a_cut_off_run_is_visible_and_can_be_run_again(tmp_path: Path) -> None:
    finished(tmp_path)
    cut_off = stage(tmp_path, seed=2)
    cut_off.begin()
    (tmp_path / "rows.jsonl").write_text("half", encoding="utf-8")
    del cut_off
    gc.collect()
    assert not stage(tmp_path).is_current()
    with pytest.raises(StageError, match="cut off"):
        read_manifest(tmp_path)
    finished(tmp_path)
    assert stage(tmp_path).is_current()


def test_a_missing_folder_and_a_broken_manifest_are_named(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="no such folder"):
        read_manifest(tmp_path / "none")
    for text, reason in (("{", "not JSON"), ("[]", "expected a JSON object"), ("\udcff", "not JSON")):
        (tmp_path / MANIFEST).write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(StageError, match=reason):
            read_manifest(tmp_path)


def foreign_files(folder: Path) -> None:
    (folder / "thesis.docx").touch()


def foreign_config(folder: Path) -> None:
    (folder / CONFIG).write_text("seed: 1\n", encoding="utf-8")


def other_stage(folder: Path) -> None:
    finished(folder, "train")


def other_stage_cut_off(folder: Path) -> None:
    stage(folder, "train").begin()


@pytest.mark.parametrize("fill", [foreign_files, foreign_config, other_stage, other_stage_cut_off])
def test_a_folder_of_something_else_is_left_as_it_was(tmp_path: Path, fill: object) -> None:
    assert callable(fill)
    fill(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(StageError, match="something else"):
        stage(tmp_path).begin()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "d").touch()
    with pytest.raises(StageError, match="is a file"):
        stage(tmp_path / "d").begin()


def test_a_folder_with_nothing_but_hidden_files_is_empty(tmp_path: Path) -> None:
    (tmp_path / ".gitkeep").touch()
    stage(tmp_path).begin()


def test_two_runs_do_not_write_one_folder_at_a_time(tmp_path: Path) -> None:
    first = stage(tmp_path)
    first.begin()
    first.begin()  # the same run may begin again
    with pytest.raises(StageError, match="another process is writing"):
        stage(tmp_path).begin()
    first.finish([], {})
    stage(tmp_path).begin()


HOLD = """
import sys, time
from pathlib import Path
from configs.reader import StrictConfig
from configs.stage import Stage
held = Stage("data", Path(sys.argv[1]), StrictConfig(), {})
held.begin()
print("ready", flush=True)
time.sleep(60)
"""


def test_a_killed_run_does_not_lock_its_folder_for_ever(tmp_path: Path, repository: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], cwd=repository, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"ready\n"
    with pytest.raises(StageError, match="another process is writing"):
        stage(tmp_path).begin()
    holder.kill()
    holder.wait(timeout=10)
    holder.stdout.close()
    finished(tmp_path)
    assert stage(tmp_path).is_current()


def test_a_fact_cannot_take_the_place_of_the_manifest_s_own(tmp_path: Path) -> None:
    made = stage(tmp_path)
    made.begin()
    with pytest.raises(AssertionError):
        made.finish([], {"outputs": []})
    assert not (tmp_path / MANIFEST).exists()


def test_the_manifest_is_readable_text(tmp_path: Path) -> None:
    made = stage(tmp_path)
    made.begin()
    made.finish([], {"note": "姓名"})
    text = (tmp_path / MANIFEST).read_text(encoding="utf-8")
    assert "姓名" in text
    assert json.loads(text)["note"] == "姓名"


def test_hashes_are_of_content(tmp_path: Path) -> None:
    for name, text in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    hashes = folder_hash(tmp_path, "abc")
    assert hashes["a"] == hashes["b"] != hashes["c"]


def test_versions_names_what_is_installed_and_nothing_else() -> None:
    found = versions("pydantic", "no-such-distribution")
    assert set(found) == {"python", "pydantic"}
