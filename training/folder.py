"""Writes the model folder: whole or not at all, the manifest last."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from configs.atomic import writing_folder
from pii.codec import TURN_END
from pii.model_folder import CARD, ModelManifest, write_manifest
from training.card import render
from training.tokenizer import END_OF_TEXT

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MAX_SHARD = "2GB"
"""Largest safetensors file; a bigger model is written in several."""


def write_model_folder(
    folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, manifest: ModelManifest
) -> None:
    """Write weights, tokenizer, generation config, model card and, last, the manifest.

    The folder takes its name only when everything is written; an older one is replaced then.

    Raises OSError: the disk is full or cannot be written; nothing is left behind.
    """
    from transformers import GenerationConfig

    vocabulary = tokenizer.get_vocab()
    ends = [vocabulary[token] for token in (TURN_END, END_OF_TEXT) if token in vocabulary]
    # Greedy: extraction has one right answer. Qwen2's own folder asks for sampling.
    model.generation_config = GenerationConfig(
        do_sample=False, eos_token_id=ends, pad_token_id=tokenizer.pad_token_id
    )
    model.config.eos_token_id = vocabulary[TURN_END]
    model.config.pad_token_id = tokenizer.pad_token_id
    with writing_folder(folder) as half:
        model.save_pretrained(half, max_shard_size=MAX_SHARD)
        tokenizer.save_pretrained(half)
        (half / CARD).write_text(render(manifest), encoding="utf-8")
        write_manifest(half, manifest)
