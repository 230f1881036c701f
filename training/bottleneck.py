"""Bottleneck adapters: a narrow two-layer network behind each feed-forward layer.

After Pfeiffer et al. 2021 (https://arxiv.org/abs/2005.00247), who keep one of the two places of Houlsby et
al. 2019 (https://arxiv.org/abs/1902.00751). PEFT has no such type. A nonlinear adapter cannot be merged.
"""

# ruff: noqa: TID253 - imported inside functions alone.

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from pii.errors import ModelFolderError
from training.recipe import AdapterRecipe

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_KIND = "BOTTLENECK"


class Bottleneck(nn.Module):
    """``x + up(gelu(down(x)))``; `up` begins at zero, so that the base is unchanged at first."""

    def __init__(self, width: int, size: int, dropout: float) -> None:
        super().__init__()
        self.down = nn.Linear(width, size)
        self.up = nn.Linear(size, width)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, hidden_BTD: torch.Tensor) -> torch.Tensor:
        """Add what the adapter says to the layer's output; shape and number format are kept."""
        inner = self.dropout(nn.functional.gelu(self.down(hidden_BTD.to(self.down.weight.dtype))))
        return hidden_BTD + self.up(inner).to(hidden_BTD.dtype)


class WithBottleneck(nn.Module):
    """A feed-forward layer with its adapter behind it."""

    def __init__(self, layer: nn.Module, adapter: Bottleneck) -> None:
        super().__init__()
        self.layer, self.bottleneck = layer, adapter

    def forward(self, hidden_BTD: torch.Tensor) -> torch.Tensor:
        """The layer, then the adapter."""
        return self.bottleneck(self.layer(hidden_BTD))


def attach(model: Any, recipe: AdapterRecipe) -> Any:
    """Freeze the model and put an adapter behind each feed-forward layer; returns the same model."""
    model.requires_grad_(False)
    for layer in model.model.layers:
        adapter = Bottleneck(model.config.hidden_size, recipe.size, recipe.dropout)
        layer.mlp = WithBottleneck(layer.mlp, adapter.to(next(layer.parameters()).device))
    # Gradient checkpointing wants an input that has a gradient.
    model.enable_input_require_grads()
    return model


def save(state: Mapping[str, torch.Tensor], folder: Path, recipe: AdapterRecipe) -> None:
    """Write the adapters' part of a model's state, and their sizes."""
    weights = {
        name: value.detach().cpu().contiguous() for name, value in state.items() if ".bottleneck." in name
    }
    save_file(weights, str(folder / _WEIGHTS))
    (folder / _CONFIG).write_text(json.dumps({"peft_type": _KIND, **recipe.model_dump()}), encoding="utf-8")


def restore(model: Any, folder: Path) -> None:
    """Read adapters into a model that has them attached. Raises ModelFolderError: they do not fit."""
    weights = load_file(str(folder / _WEIGHTS))
    wanted = {name for name in model.state_dict() if ".bottleneck." in name}
    if wanted != set(weights):
        raise ModelFolderError(f"{folder}: not the adapters of this base")
    try:
        model.load_state_dict(weights, strict=False)
    except RuntimeError:
        raise ModelFolderError(f"{folder}: adapters of another size than the recipe's") from None
