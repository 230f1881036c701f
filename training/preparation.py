"""From a recipe to what a run works with: tokenizer, examples, model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice
from random import Random
from typing import Any

from pii.errors import DataError, ModelFolderError
from pii.model_folder import BASE
from training import device, pairs
from training.bare import make_model
from training.base import Base, load_model, resolve
from training.examples import DataFolder, Example, LeftOut, Row, encode_rows, entity_types
from training.merge import check_base
from training.methods import attach
from training.objective_recipe import Distillation, Preference
from training.recipe import BareBase, TrainRecipe
from training.tokenizer import load as load_tokenizer
from training.tokenizer import train as train_tokenizer

_VOCABULARY_ROWS = 20_000
"""Rows that a new tokenizer is trained on: enough for 6,000 tokens, and read in seconds."""


@dataclass(slots=True)
class Job:
    """What a run works with.

    Attributes:
        recipe: how it is trained.
        where: on what it computes.
        tokenizer: of the base, or new.
        model: the model, with its adapters if it has any.
        rows: training rows that fit.
        train: what is learned from, tokenised: the rows, or pairs.
        validation: the fixed validation sample.
        answered: validation rows that are answered for entity F1.
        left_out: examples that do not fit.
        types: entity types that were labelled in the training rows.
        chat_sources: sources of general chat among the training rows.
        num_parameters: of the model, adapters included.
        weights: after training, where the model holds a part of its weights alone: all of them.
    """

    recipe: TrainRecipe
    where: device.Device
    tokenizer: Any
    model: Any
    rows: Sequence[Row]
    train: Sequence[Example]
    validation: Sequence[Example]
    answered: Sequence[Row]
    left_out: Sequence[LeftOut]
    types: tuple[str, ...]
    chat_sources: frozenset[str]
    num_parameters: int
    weights: dict[str, Any] | None = None


def prepare(recipe: TrainRecipe, data: DataFolder, base: Base | None, where: device.Device) -> Job:
    """Read the data, load or make tokenizer and model.

    Raises UserError: a row cannot be read, nothing fits into the context, or the base cannot be used.
    """
    rows, validation_rows = data.rows("train"), data.rows("validation")
    tokenizer = load_tokenizer(base.folder) if base else _new_tokenizer(recipe, rows)
    weights = recipe.loss_weights if recipe.loss_weights.differ else None
    examples, left_out = encode_rows(rows, tokenizer, recipe.context_tokens, weights)
    too_long = {one.id for one in left_out}
    if isinstance(recipe.objective, Preference):
        examples, left_out = pairs.encode(
            pairs.read(recipe.objective.pairs), tokenizer, recipe.context_tokens
        )
    sample = _sample(validation_rows, recipe.watch.validation_examples, recipe.seed)
    validation, left_out_there = encode_rows(sample, tokenizer, recipe.context_tokens)
    if not examples or not validation:
        raise DataError(
            f"{recipe.data}: no example fits into {recipe.context_tokens} tokens; raise context_tokens"
        )
    model = _model(recipe, base, tokenizer, where)
    return Job(
        recipe=recipe,
        where=where,
        tokenizer=tokenizer,
        model=model,
        rows=[row for row in rows if row.id not in too_long],
        train=examples,
        validation=validation,
        answered=[row for row in sample if row.spans is not None][: recipe.watch.f1_examples],
        left_out=[*left_out, *left_out_there],
        types=entity_types(rows),
        chat_sources=frozenset(row.source for row in rows if row.spans is None),
        num_parameters=model.num_parameters(),
    )


def _new_tokenizer(recipe: TrainRecipe, rows: Sequence[Row]) -> Any:
    if isinstance(recipe.objective, Distillation):  # which compares token by token
        return load_tokenizer(resolve(recipe.objective.teacher, recipe.objective.revision).folder)
    assert isinstance(recipe.base, BareBase)
    contents = chain.from_iterable((m["content"] for m in row.messages) for row in rows)
    texts = islice(contents, 3 * _VOCABULARY_ROWS)
    size = recipe.base.architecture.vocab_size
    return train_tokenizer(texts, vocab_size=size, context_tokens=recipe.context_tokens)


def _sample(rows: Sequence[Row], size: int, seed: int) -> Sequence[Row]:
    return rows if len(rows) <= size else Random(seed).sample(rows, size)


def _model(recipe: TrainRecipe, base: Base | None, tokenizer: Any, where: device.Device) -> Any:
    from transformers import set_seed

    set_seed(recipe.seed)
    if recipe.init_from is not None and base is not None and (recipe.init_from / BASE).is_file():
        check_base(recipe.init_from, base)
    model = _begun(recipe, base, tokenizer, where)
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        raise ModelFolderError(
            f"{recipe.base}: the tokenizer has {len(tokenizer)} tokens, the model"
            f" {model.get_input_embeddings().num_embeddings}: fetch both from one place"
        )
    kernel = device.varlen_attention()
    if kernel and device.packs(recipe):
        model.set_attn_implementation(kernel)
    return model if base is None else attach(model, recipe)


def _begun(recipe: TrainRecipe, base: Base | None, tokenizer: Any, where: device.Device) -> Any:
    """The model before anything is attached: new, or the base's."""
    import torch

    if base is None:
        assert isinstance(recipe.base, BareBase)
        return make_model(
            recipe.base.architecture,
            tokenizer,
            context_tokens=recipe.context_tokens,
            seed=recipe.seed,
            induction=recipe.base.induction,
        )
    # Weights that are trained stay in float32 and are rounded for the products alone; frozen ones need not.
    # PiSSA changes the base, which has to be undone exactly.
    rounded = where.kind == "cuda" and recipe.method not in ("full", "pissa")
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(where.precision) if rounded else None
    return load_model(base, dtype or torch.float32, four_bit=recipe.method == "qlora")
