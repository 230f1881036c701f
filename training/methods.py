"""Which weights are trained: from ``method:`` in the recipe to a PEFT configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from training.recipe import LoraRecipe, TrainRecipe

if TYPE_CHECKING:
    from peft import PeftConfig

_TARGETS: dict[str, str | list[str]] = {
    "all-linear": "all-linear",
    "attention": ["q_proj", "k_proj", "v_proj", "o_proj"],
    "qv": ["q_proj", "v_proj"],
}
"""Names of Qwen2's and Qwen3's layers; ``all-linear`` is PEFT's word for all but the head."""


def peft_config(recipe: TrainRecipe) -> PeftConfig | None:
    """The PEFT configuration of a recipe; None where all weights are trained."""
    if recipe.method == "full":
        return None
    return _lora(recipe.lora)


def _lora(recipe: LoraRecipe) -> PeftConfig:
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=targets(recipe),
    )


def targets(recipe: LoraRecipe) -> str | list[str]:
    """The layers that get an adapter, in PEFT's words."""
    return _TARGETS[recipe.targets] if isinstance(recipe.targets, str) else list(recipe.targets)


def attach(model: Any, recipe: TrainRecipe) -> Any:
    """The model with the recipe's adapters; itself where all weights are trained."""
    config = peft_config(recipe)
    if config is None:
        return model
    from peft import get_peft_model

    return get_peft_model(model, config)


def count_parameters(model: Any) -> dict[str, dict[str, int]]:
    """Parameters of each kind of module: ``{"q_proj": {"trainable": …, "all": …}, …}``."""
    counts: dict[str, dict[str, int]] = {}
    for name, parameter in model.named_parameters():
        entry = counts.setdefault(_module(name), {"trainable": 0, "all": 0})
        entry["all"] += parameter.numel()
        entry["trainable"] += parameter.numel() if parameter.requires_grad else 0
    return counts


def _module(name: str) -> str:
    """``…layers.3.self_attn.q_proj.lora_A.default.weight`` → ``q_proj``."""
    skipped = ("weight", "bias", "default", "base_layer", "original_module", "modules_to_save")
    parts = [p for p in name.split(".") if p not in skipped and not p.startswith(("lora_", "ia3_"))]
    return next((part for part in reversed(parts) if not part.isdigit()), name)
