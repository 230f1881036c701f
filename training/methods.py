"""Which weights are trained: from ``method:`` in the recipe to a model with adapters, and to a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import ConfigError
from pii.errors import ModelFolderError
from training.recipe import LOW_RANK, LoraRecipe, TrainRecipe

if TYPE_CHECKING:
    from peft import PeftConfig

_TARGETS: dict[str, str | list[str]] = {
    "all-linear": "all-linear",
    "attention": ["q_proj", "k_proj", "v_proj", "o_proj"],
    "qv": ["q_proj", "v_proj"],
}
"""Names of Qwen2's and Qwen3's layers; ``all-linear`` is PEFT's word for all but the head."""


def peft_config(recipe: TrainRecipe) -> PeftConfig:
    """PEFT's configuration of a recipe whose method is one of PEFT's."""
    if recipe.method in LOW_RANK:
        return _low_rank(recipe)
    if recipe.method == "ia3":
        return _ia3(recipe)
    return _virtual_tokens(recipe)


def _low_rank(recipe: TrainRecipe) -> PeftConfig:
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.lora.rank,
        lora_alpha=recipe.lora.alpha,
        lora_dropout=recipe.lora.dropout,
        target_modules=targets(recipe.lora),
        use_dora=recipe.method == "dora",
        use_rslora=recipe.method == "rslora",
        # The exact decomposition: the fast one is random, and a resumed run has to find the same.
        init_lora_weights="pissa" if recipe.method == "pissa" else True,
    )


def _ia3(recipe: TrainRecipe) -> PeftConfig:
    """Learned scales (Liu et al. 2022, https://arxiv.org/abs/2205.05638) on keys, values and feed-forward."""
    from peft import IA3Config

    names = targets(recipe.lora)
    listed = ["k_proj", "v_proj", "down_proj"] if isinstance(names, str) else names
    feedforward = [name for name in listed if name in ("up_proj", "gate_proj", "down_proj")]
    return IA3Config(task_type="CAUSAL_LM", target_modules=listed, feedforward_modules=feedforward)


def _virtual_tokens(recipe: TrainRecipe) -> PeftConfig:
    from peft import PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig

    tokens = recipe.virtual_tokens
    common = {"task_type": "CAUSAL_LM", "num_virtual_tokens": tokens.count}
    if recipe.method == "prompt_tuning":
        return PromptTuningConfig(**common)
    if recipe.method == "p_tuning":
        return PromptEncoderConfig(**common, encoder_hidden_size=tokens.encoder_size)
    return PrefixTuningConfig(
        **common, prefix_projection=tokens.projection, encoder_hidden_size=tokens.encoder_size
    )


def targets(recipe: LoraRecipe) -> str | list[str]:
    """The layers that get an adapter, in PEFT's words."""
    return _TARGETS[recipe.targets] if isinstance(recipe.targets, str) else list(recipe.targets)


def attach(model: Any, recipe: TrainRecipe) -> Any:
    """The model with the recipe's adapters, or with the recipe's layers frozen.

    Raises ConfigError: the targets or the number of layers do not exist in this model.
    Raises ModelFolderError: ``init_from`` is no adapter of this method and base.
    """
    if recipe.method == "full":
        return _freeze(model, recipe.layers_to_freeze)
    if recipe.method == "adapter":
        from training import bottleneck

        model = bottleneck.attach(model, recipe.adapter)
        if recipe.init_from is not None:
            bottleneck.restore(model, recipe.init_from)
        return model
    return _attach_peft(model, recipe)


def _attach_peft(model: Any, recipe: TrainRecipe) -> Any:
    from peft import PeftModel, get_peft_model, prepare_model_for_kbit_training

    if recipe.method == "qlora":
        model = prepare_model_for_kbit_training(
            model, use_gradient_checkpointing=recipe.gradient_checkpointing
        )
    if recipe.init_from is not None:
        try:
            adapted = PeftModel.from_pretrained(model, str(recipe.init_from), is_trainable=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelFolderError(
                f"{recipe.init_from}: not an adapter of {recipe.base} ({type(error).__name__})"
            ) from None
        if adapted.peft_config["default"].peft_type != peft_config(recipe).peft_type:
            raise ModelFolderError(f"{recipe.init_from}: an adapter of another method than {recipe.method}")
        return adapted
    try:
        return get_peft_model(model, peft_config(recipe))
    except ValueError as error:
        if "target" not in str(error).lower():
            raise
        raise ConfigError("lora.targets: this model has no such layers") from None


def _freeze(model: Any, num_layers: int) -> Any:
    if not num_layers:
        return model
    layers = model.model.layers
    if num_layers > len(layers):
        raise ConfigError(f"layers_to_freeze: this model has {len(layers)} layers")
    for part in (model.model.embed_tokens, *layers[:num_layers]):
        part.requires_grad_(False)
    return model


def save_adapter(
    model: Any,
    folder: Path,
    recipe: TrainRecipe,
    initial: Path | None = None,
    weights: Mapping[str, Any] | None = None,
) -> None:
    """Write the adapter's weights and configuration into a folder.

    Args:
        model: the trained model.
        folder: an empty folder.
        recipe: the recipe it was trained by.
        initial: ``pissa`` alone: the adapter as it was before training (see `keep_initial`).
        weights: those of the model, where it holds a part of them alone; None: the model's own.
    """
    if recipe.method == "adapter":
        from training import bottleneck

        bottleneck.save(model.state_dict() if weights is None else weights, folder, recipe.adapter)
    elif recipe.method == "pissa":
        # PiSSA takes its start out of the base; PEFT writes the difference as a LoRA of the whole base.
        model.save_pretrained(folder, path_initial_model_for_weight_conversion=str(initial))
    else:
        model.save_pretrained(folder, state_dict=weights)


def keep_initial(model: Any, folder: Path) -> None:
    """Write a PiSSA adapter as it is before training; `save_adapter` needs it."""
    config = model.peft_config["default"]
    chosen, config.init_lora_weights = config.init_lora_weights, True
    model.save_pretrained(folder)
    config.init_lora_weights = chosen


def count_parameters(model: Any) -> dict[str, dict[str, int]]:
    """Parameters of each kind of module: ``{"q_proj": {"trainable": …, "all": …}, …}``."""
    counts: dict[str, dict[str, int]] = {}
    for name, parameter in model.named_parameters():
        entry = counts.setdefault(_module(name), {"trainable": 0, "all": 0})
        # A 4-bit weight holds two numbers a byte; the layer knows its true size.
        size = parameter.numel() * (2 if type(parameter).__name__ == "Params4bit" else 1)
        entry["all"] += size
        entry["trainable"] += size if parameter.requires_grad else 0
    return counts


def _module(name: str) -> str:
    """``…layers.3.self_attn.q_proj.lora_A.default.weight`` → ``q_proj``."""
    skipped = ("weight", "bias", "default", "base_layer", "original_module", "modules_to_save", "layer")
    parts = [p for p in name.split(".") if p not in skipped and not p.startswith(("lora_", "ia3_"))]
    return next((part for part in reversed(parts) if not part.isdigit()), name)
