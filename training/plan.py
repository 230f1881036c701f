"""``pii train --explain``: what a recipe would do, before any weights are loaded.

Parameters are exact: the model is built without memory for its weights. Steps follow from lengths that are
estimated from characters; memory and time are rough, and the run's manifest tells the measured ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from training import device
from training.base import resolve
from training.batches import cut, num_steps
from training.examples import DataFolder, Row
from training.methods import attach, count_parameters
from training.recipe import VIRTUAL_TOKENS, BareBase, TrainRecipe

_TURN_TOKENS = 5
"""Control tokens around a turn."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The numbers of a run before it begins.

    Attributes:
        trainable: parameters that are trained.
        parameters: all parameters, adapters included.
        adapter_mb: size of the trained weights on disk in 10⁶ bytes, as float32.
        examples_per_step: mean effective batch: batches on all devices, accumulation included.
        tokens_per_step: the same in tokens, without padding.
        steps_per_epoch: optimizer steps of one epoch.
        steps: optimizer steps of the run.
        memory_gb: estimate of weights, gradients, optimizer and activations, in 10⁹ bytes.
        minutes: estimate from a multiplication timed on this device; no more than `max_minutes`.
    """

    trainable: int
    parameters: int
    adapter_mb: float
    examples_per_step: float
    tokens_per_step: float
    steps_per_epoch: int
    steps: int
    memory_gb: float
    minutes: float

    def as_json(self) -> dict[str, float]:
        """The numbers by name."""
        return asdict(self)


def beside(planned: Plan, facts: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Each estimate of a plan with what the run measured beside it.

    The measured memory is the GPU's where there is one; else the process's, with about 0.7 GB of libraries.
    """
    peak = facts["peak_memory_gb"]
    measured = {
        "trainable": facts["trainable_parameters"],
        "steps": facts["steps"],
        "minutes": facts["minutes"],
        "memory_gb": peak.get("gpu", peak["process"]),
    }
    estimates = planned.as_json()
    return {
        name: {"estimated": round(estimates[name], 2), "measured": value} for name, value in measured.items()
    }


def explain(recipe: TrainRecipe) -> str:
    """The plan of a recipe in words and a table; one line for each kind of module."""
    where = device.choose(recipe.precision)
    rows = DataFolder(recipe.data).rows("train")
    model = skeleton(recipe)
    counts = count_parameters(model)
    made = plan(recipe, model, [estimate_tokens(row) for row in rows], where)
    lines = [f"{'module':<24}{'trainable':>14}{'all':>16}{'share':>9}"]
    for name, entry in [*counts.items(), ("total", {"trainable": made.trainable, "all": made.parameters})]:
        share = entry["trainable"] / entry["all"] if entry["all"] else 0.0
        lines.append(f"{name:<24}{entry['trainable']:>14,}{entry['all']:>16,}{share:>9.2%}")
    devices = device.num_processes()
    lines += [
        "",
        f"method            {recipe.method} on {where}; trained weights {made.adapter_mb:,.1f} MB as float32",
        f"effective batch   at most {recipe.batch.tokens:,} tokens x {recipe.batch.accumulation} accumulated"
        f" x {devices} devices; on average about {made.examples_per_step:,.1f} examples,"
        f" {made.tokens_per_step:,.0f} tokens",
        f"steps             {made.steps:,}; about {made.steps_per_epoch:,} for all {len(rows):,} examples",
        f"memory            about {made.memory_gb:,.1f} GB on each device",
        f"time              about {made.minutes:,.0f} minutes",
    ]
    return "\n".join(lines) + "\n"


def skeleton(recipe: TrainRecipe) -> Any:
    """The model with its adapters and without memory for weights: shapes alone."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from training.bare import make_config

    with torch.device("meta"):
        if isinstance(recipe.base, BareBase):
            architecture = recipe.base.architecture
            config = make_config(
                architecture, vocab_size=architecture.vocab_size, context_tokens=recipe.context_tokens
            )
        else:
            base = resolve(recipe.base, recipe.revision, config_only=True)
            config = AutoConfig.from_pretrained(str(base.folder))
        model = AutoModelForCausalLM.from_config(config)
        # Shapes do not depend on how weights are begun, stored or decomposed.
        plain = {"init_from": None} | ({"method": "lora"} if recipe.method in ("qlora", "pissa") else {})
        return attach(model, recipe.model_copy(update=plain))


def estimate_tokens(row: Row) -> int:
    """Tokens of an example from its characters: one for each outside ASCII, and a third of those inside."""
    size = 0.0
    for message in row.messages:
        ascii_chars = sum(map(str.isascii, message["content"]))
        size += _TURN_TOKENS + len(message["content"]) - ascii_chars + ascii_chars / 3
    return round(size)


def plan(recipe: TrainRecipe, model: Any, lengths: list[int], where: device.Device) -> Plan:
    """The plan for a model and the lengths of its examples."""
    counts = count_parameters(model)
    trainable, total = (sum(entry[key] for entry in counts.values()) for key in ("trainable", "all"))
    num_processes = device.num_processes()
    batches = cut(lengths, recipe, packed=device.packs(recipe), num_processes=num_processes)
    steps_per_epoch = -(-len(batches) // recipe.batch.accumulation)
    steps = num_steps(recipe.length, len(batches), recipe.batch.accumulation)
    tokens_per_step = sum(lengths) / steps_per_epoch
    seconds = steps * tokens_per_step * _operations_per_token(recipe, trainable, total) / _rate(where)
    bound = recipe.length.max_minutes
    minutes = seconds / 60 / num_processes
    return Plan(
        trainable=trainable,
        parameters=total,
        adapter_mb=trainable * 4 / 1e6,
        examples_per_step=len(lengths) / steps_per_epoch,
        tokens_per_step=tokens_per_step,
        steps_per_epoch=steps_per_epoch,
        steps=steps,
        memory_gb=_memory(recipe, model.config, trainable, total, where) / 1e9,
        minutes=minutes if bound is None else min(minutes, bound),
    )


def _operations_per_token(recipe: TrainRecipe, trainable: int, total: int) -> float:
    """Two operations a weight forward, two for the gradient of the input, two for that of the weight.

    Kaplan et al. 2020, https://arxiv.org/abs/2001.08361, section 2.1.
    """
    again = 2 if recipe.gradient_checkpointing else 0
    return (4 + again) * total + 2 * trainable


def _memory(recipe: TrainRecipe, config: Any, trainable: int, total: int, where: device.Device) -> float:
    """Bytes of weights, gradients, optimizer and activations.

    Activations: 34 bytes a token, layer and width in 16 bits, after Korthikanti et al. 2022
    (https://arxiv.org/abs/2205.05198), attention scores aside, which are never held.
    """
    frozen_bytes = 0.56 if recipe.method == "qlora" else 2 if where.kind == "cuda" else 4
    state_bytes = 2 if "8bit" in recipe.optimizer.name else 0 if recipe.optimizer.name == "adafactor" else 8
    weights = (total - trainable) * frozen_bytes + trainable * (4 + 4 + state_bytes)
    wide = 2 if where.precision == "fp32" else 1
    tokens = recipe.batch.tokens + (recipe.virtual_tokens.count if recipe.method in VIRTUAL_TOKENS else 0)
    layers = config.num_hidden_layers
    held = 34 + (layers - 1) * 2 if recipe.gradient_checkpointing else 34 * layers
    # About half of the tokens are answers; their logits stand in float32, forward and backward.
    logits = 0 if where.kind == "cuda" else recipe.batch.tokens / 2 * config.vocab_size * 4 * 2
    return float(weights + tokens * config.hidden_size * held * wide + logits)


def _rate(where: device.Device) -> float:
    """Operations per second that training reaches: a third of what a large product reaches here."""
    return device.matrix_rate(where) / 3
