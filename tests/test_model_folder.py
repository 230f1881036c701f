"""The model folder's manifest: what cannot be served is one clear line."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from configs.reader import StrictConfig
from pii import codec, model_folder
from pii.errors import ModelFolderError
from pii.model_folder import MANIFEST, ModelManifest, find, read_manifest, write_manifest


def manifest(**changes: Any) -> ModelManifest:
    facts: dict[str, Any] = {
        "codec_version": codec.VERSION,
        "codec_fingerprint": codec.fingerprint(),
        "answer_style": "value",
        "entity_types": ("PERSON_NAME", "PHONE_NUMBER"),
        "context_tokens": 2048,
        "window_chars": 400,
        "window_margin": 50,
        "base_model": "config",
        "method": "full",
        "hyperparameters": {"lr": 1e-4, "note": "学习率"},
        "data_identity": "0" * 64,
        "data_sources": {"synthetic": {"licence": "Apache-2.0", "rows": 10}},
        "num_parameters": 1000,
        "training": {"losses": [2.0, 1.0], "seconds": 3},
        "versions": {"python": "3.11"},
    }
    return ModelManifest(**(facts | changes))


def refusal(folder: Path) -> str:
    with pytest.raises(ModelFolderError) as caught:
        read_manifest(folder)
    message = str(caught.value)
    assert str(folder) in message
    assert "\n" not in message
    return message


def change(folder: Path, **values: Any) -> None:
    path = folder / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | values), encoding="utf-8")


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_manifest(tmp_path, manifest())
    assert read_manifest(tmp_path) == manifest()
    assert "学习率" in (tmp_path / MANIFEST).read_text(encoding="utf-8")


def test_a_missing_folder_says_how_to_make_one(tmp_path: Path) -> None:
    assert "no such model folder; `make data train` makes one" in refusal(tmp_path / "none")


def test_a_folder_without_a_manifest_is_half_written(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    assert "half-written" in refusal(tmp_path)


@pytest.mark.parametrize("content", [b"{", b"\xff", b"", b"[" * 100_000])
def test_a_broken_manifest_is_not_json(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    assert "not JSON" in refusal(tmp_path)


@pytest.mark.parametrize("content", ["[]", "1", "{}", '{"stage": "data"}', '{"kind": "other"}'])
def test_the_manifest_of_something_else_is_called_so(tmp_path: Path, content: str) -> None:
    """A data folder has a manifest.json too."""
    (tmp_path / MANIFEST).write_text(content, encoding="utf-8")
    assert "not a model folder" in refusal(tmp_path)


@pytest.mark.parametrize(
    "values", [{"codec_version": codec.VERSION + 1}, {"codec_version": "1"}, {"codec_fingerprint": "other"}]
)
def test_another_format_is_refused_before_its_fields_are_read(tmp_path: Path, values: dict[str, Any]) -> None:
    write_manifest(tmp_path, manifest())
    change(tmp_path, **values, a_field_of_the_future=1)
    message = refusal(tmp_path)
    assert f"this program speaks {codec.VERSION}" in message
    assert "a_field_of_the_future" not in message


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"a_field_of_the_future": 1}, "a_field_of_the_future: unknown key"),
        ({"window_chars": "400"}, "window_chars: input should be a valid integer"),
        ({"window_chars": 0}, "window_chars: input should be greater than 0"),
        ({"window_margin": -1}, "window_margin: input should be greater than or equal to 0"),
        ({"answer_style": "prose"}, "answer_style: input should be 'value', 'with_offsets' or 'grouped'"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, values: dict[str, Any], reason: str) -> None:
    write_manifest(tmp_path, manifest())
    change(tmp_path, **values)
    assert reason in refusal(tmp_path)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    write_manifest(tmp_path, manifest())
    values = json.loads((tmp_path / MANIFEST).read_text(encoding="utf-8"))
    del values["data_sources"]
    (tmp_path / MANIFEST).write_text(json.dumps(values), encoding="utf-8")
    assert "data_sources: is required" in refusal(tmp_path)


class Recipe(StrictConfig):
    model: model_folder.Found | None = None


def test_the_first_folder_that_is_there_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("second").mkdir()
    assert Recipe(model=["first", "second"]).model == Path("second")
    Path("first").mkdir()
    assert Recipe(model=["first", "second"]).model == Path("first")
    assert Recipe(model="second").model == Path("second")
    assert Recipe(model=None).model is None


def test_a_folder_that_is_nowhere_keeps_the_name_it_was_given() -> None:
    assert find(["no/such", "other"]) == Path("no/such")


def test_what_comes_with_the_program_is_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find("pii") == Path(model_folder.__file__).parent
    Path("pii").mkdir()
    assert find("pii") == Path("pii")


@pytest.mark.parametrize("value", [[], 1, [None], {"a": "b"}])
def test_what_names_no_folder_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        Recipe(model=value)
