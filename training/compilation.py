"""The layers of a model as compiled code, with which training on a CPU takes less time."""

from __future__ import annotations

from typing import Any

from configs.errors import ConfigError
from training import device


def compile_layers(model: Any) -> None:
    """Have torch compile all below the head, at the first step; batches of other shapes need no other code.

    On a CPU attention is then plain products and a softmax: the way back of torch's fused attention takes two
    fifths of a step there. It keeps attention's weights, (examples, heads, tokens, tokens) in each layer.

    Args:
        model: a causal language model without adapters.

    Raises ConfigError: there is no compiler, or several processes train.
    """
    if not device.can_compile():
        raise ConfigError("compiled: there is no C++ compiler: install g++, or set it to false")
    if device.num_processes() > 1:
        raise ConfigError("compiled is for one process: set it to false")
    if model.device.type == "cpu":
        model.set_attn_implementation("eager")
    model.model.compile(dynamic=True)
