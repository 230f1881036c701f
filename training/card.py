"""The model card: ``README.md`` of a model folder, every line a fact of its manifest.

Front matter as the hub reads it: https://huggingface.co/docs/hub/model-cards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from pii.model_folder import ModelManifest
from pii.tagger_folder import TaggerManifest
from training.base import MODELSCOPE


def render(manifest: ModelManifest) -> str:
    """The card's Markdown; holds names and numbers only, never a text of the data."""
    return _card(
        _front_matter("text-generation", "transformers", **_base(manifest)),
        "# PII extraction model",
        _summary(manifest),
        "## Use\n\n"
        "Prompt, answer and reading are those of `pii.codec`; load the folder with this program:\n\n"
        "    pii extract notes.jsonl -o found.jsonl --model THIS_FOLDER\n",
        "## Entity types\n\n" + ", ".join(manifest.entity_types),
        *_making(manifest),
        "## Evaluation\n\n" + _table(manifest.evaluation),
        "## Limits\n\n"
        "Finds what its training data marked, in Chinese and English; other languages were not taught."
        " It misses mentions: read the leakage of an evaluation on your own text before relying on it.",
        "## Versions\n\n" + _table(manifest.versions),
    )


def render_tagger(manifest: TaggerManifest) -> str:
    """The card of a character tagger."""
    return _card(
        _front_matter("token-classification", "onnx"),
        "# Character tagger",
        "Says of every character of a text which entity it belongs to. Made from nothing (random weights):"
        f" {manifest.num_parameters:,} parameters, windows of {manifest.window_chars:,} characters with a"
        f" margin of {manifest.window_margin:,}. A detector beside the model and the patterns of this"
        " program; what it is worth together with them, the evaluation of a model folder says.",
        "## Use\n\n    pii extract notes.jsonl -o found.jsonl --set extractor.tagger=THIS_FOLDER\n",
        "## Entity types\n\n" + ", ".join(manifest.entity_types),
        *_making(manifest),
        "## Versions\n\n" + _table(manifest.versions),
    )


def _card(*sections: str) -> str:
    return "\n\n".join(section.rstrip() for section in sections) + "\n"


def _front_matter(task: str, library: str, **more: str) -> str:
    facts: dict[str, Any] = {
        "language": ["zh", "en"],
        "pipeline_tag": task,
        "library_name": library,
        "tags": ["pii", "named-entity-recognition", "privacy"],
        **more,
    }
    return f"---\n{yaml.safe_dump(facts, sort_keys=False)}---"


def _base(manifest: ModelManifest) -> dict[str, str]:
    """The base as the hub knows it; nothing where it has no name there."""
    if "/" not in manifest.base_model:
        return {}
    return {"base_model": manifest.base_model.removeprefix(MODELSCOPE)}


def _making(manifest: ModelManifest | TaggerManifest) -> tuple[str, ...]:
    """How it was made, and from what."""
    return (
        "## Data\n\n" + _sources(manifest.data_sources),
        "## Training\n\n" + _table(manifest.training),
        "## Hyperparameters\n\n" + _table(manifest.hyperparameters),
    )


def _summary(manifest: ModelManifest) -> str:
    base = "nothing (random weights)" if manifest.base_model == "config" else f"`{manifest.base_model}`"
    revision = f" at revision `{manifest.base_revision}`" if manifest.base_revision else ""
    return (
        f"Names personal information in a text as JSON. Made by `{manifest.method}` from {base}{revision}:"
        f" {manifest.num_parameters:,} parameters, {manifest.context_tokens:,} tokens of context, windows of"
        f" {manifest.window_chars:,} characters with a margin of {manifest.window_margin:,}, answer format"
        f" version {manifest.codec_version} (`{manifest.answer_style}`)."
    )


def _sources(sources: Mapping[str, Any]) -> str:
    return _table(sources) + ("\n\nThe licence of each source binds what is made from it." if sources else "")


def _table(facts: Mapping[str, Any]) -> str:
    if not facts:
        return "None recorded."
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in _flat(facts))])


def _flat(facts: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list) and value and all(isinstance(part, Mapping) for part in value):
            # The phases of a run: each has a name.
            named = {str(part.get("name", place)): part for place, part in enumerate(value)}
            for part_name, part in named.items():
                yield from _flat(
                    {k: v for k, v in part.items() if k != "name"}, f"{prefix}{name}.{part_name}."
                )
        else:
            cell = f"{value:,.4g}" if isinstance(value, float) else str(value)
            yield f"{prefix}{name}", cell.replace("|", "\\|").replace("\n", " ")
