"""Begin with heads that copy: an induction circuit written into the initial weights.

Random weights take millions of tokens to find the circuit that copies (Olsson et al. 2022, "In-context
learning and induction heads", https://arxiv.org/abs/2209.11895), and a processor reads some thousand tokens a
second. The circuit is known, so the first two layers begin with it, as matrices that training then changes
like all others; no data is involved. Initial weights that imitate trained ones are an idea of Trockman &
Kolter 2023, https://arxiv.org/abs/2305.09828; the construction here is for Qwen2.

First layer, two heads: attend to the token before, and to the one before that. Qwen2 has biases on queries
and keys, and rotary embedding turns a constant query and a constant key into a function of their distance.
They write what they see into directions of their own.
Second layer, all heads: look for the places whose two predecessors are the two latest tokens, in the slowly
turning dimensions, which compare content at any distance; and write the token found there as the next one.
"""

# ruff: noqa: TID253 - imported inside functions alone.

from __future__ import annotations

import math
from typing import Any

import torch

from configs.errors import ConfigError

_SHARPNESS = 12.0
"""Logit by which the wanted distance exceeds its neighbour in the first layer, and a match in the second
exceeds a mismatch, roughly."""
_EMBEDDING = 0.1
"""Standard deviation of the embeddings: five times that of Qwen2, so that what the first steps of a fast
optimizer add everywhere does not bury them."""
_WRITE = 2 * _EMBEDDING
"""Scale of what the first layer's heads write."""
_FOUND = 6 * _EMBEDDING
"""Scale of the token that was found: it has to outvote the present one."""
_FINAL_GAIN = 0.04 / _EMBEDDING
"""Initial gain of the last norm: the tied head multiplies by the embeddings."""
_MOST_TURN = 1.0
"""Radians that a slow dimension may turn over `_REACH` tokens."""
_REACH = 300


def install(model: Any, *, seed: int) -> None:
    """Write the circuit into the first two layers of a fresh ``Qwen2ForCausalLM``.

    Raises ConfigError: it has fewer than two layers or heads, or shares keys between heads.
    """
    config = model.config
    heads, size = config.num_attention_heads, config.hidden_size // config.num_attention_heads
    if config.num_hidden_layers < 2 or heads < 2 or config.num_key_value_heads != heads:
        raise ConfigError("induction: needs two layers, two heads, and as many key heads as query heads")
    generator = torch.Generator().manual_seed(seed)
    turns = float(config.rope_parameters["rope_theta"]) ** (-torch.arange(size // 2) * 2 / size)
    with torch.no_grad():
        table = model.get_input_embeddings().weight
        table *= _EMBEDDING / config.initializer_range
        for layer in model.model.layers:
            # As in GPT-2: what layers add at the start shall not drown the embeddings.
            layer.self_attn.o_proj.weight /= math.sqrt(2 * config.num_hidden_layers)
            layer.mlp.down_proj.weight /= math.sqrt(2 * config.num_hidden_layers)
        # Rows: what is read of a token (its own), where the token before is written, and the one before it.
        read, before, second = _orthogonal(3, size, config.hidden_size, generator)
        first, last = (layer.self_attn for layer in model.model.layers[:2])
        for head, (distance, target) in enumerate(((1, before), (2, second))):
            _look_back(first, head, size, distance, turns, read, target)
        slow = (turns * _REACH <= _MOST_TURN).nonzero().squeeze(1)
        channels = torch.cat([slow, slow + size // 2])
        for head in range(heads):
            _look_up(last, head, size, channels, (read, before, second), generator)
        _write_found(last)
        model.model.norm.weight.fill_(_FINAL_GAIN)


def _orthogonal(count: int, rows: int, columns: int, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Matrices (rows, columns) with orthonormal rows; orthogonal to each other as far as there is room."""
    whole = min(count * rows, columns)
    basis = torch.linalg.qr(torch.randn(columns, whole, generator=generator))[0].T
    return tuple(basis[torch.arange(index * rows, (index + 1) * rows) % whole] for index in range(count))


def _look_back(
    attention: Any,
    head: int,
    size: int,
    distance: int,
    turns: torch.Tensor,
    read: torch.Tensor,
    target: torch.Tensor,
) -> None:
    """Let a head attend to the token at a distance, and write it into the target's directions."""
    rows = slice(head * size, (head + 1) * size)
    fast = turns > turns[size // 4]
    gap = (1 - torch.cos(turns[fast])).sum()
    strength = torch.sqrt(_SHARPNESS * math.sqrt(size) / gap)
    angle = turns[fast] * distance
    query, key = torch.zeros(size), torch.zeros(size)
    query[: size // 2][fast] = strength
    key[: size // 2][fast] = strength * torch.cos(angle)
    key[size // 2 :][fast] = strength * torch.sin(angle)
    for projection, bias in ((attention.q_proj, query), (attention.k_proj, key)):
        projection.bias[rows] = bias
        projection.weight[rows] *= 0.1
    attention.v_proj.weight[rows] = read
    attention.o_proj.weight[:, rows] = _WRITE * target.T


def _look_up(
    attention: Any,
    head: int,
    size: int,
    channels: torch.Tensor,
    directions: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    generator: torch.Generator,
) -> None:
    """Let a head attend to where the two tokens before are the latest two."""
    read, before, second = directions
    rows = slice(head * size, (head + 1) * size)
    half = len(channels) // 2
    chosen = torch.randperm(size, generator=generator)[:half]
    also = torch.randperm(size, generator=generator)[: len(channels) - half]
    query, key = torch.zeros(size, read.shape[1]), torch.zeros(size, read.shape[1])
    mixed = channels[torch.randperm(len(channels), generator=generator)]
    strength = math.sqrt(_SHARPNESS * math.sqrt(size) / half)
    query[mixed[:half]], key[mixed[:half]] = strength * read[chosen], strength * before[chosen]
    query[mixed[half:]], key[mixed[half:]] = strength * before[also], strength * second[also]
    attention.q_proj.weight[rows], attention.k_proj.weight[rows] = query, key


def _write_found(attention: Any) -> None:
    """Hand the token that was found through, all heads together in all its directions."""
    basis = torch.linalg.qr(attention.v_proj.weight.T)[0]
    attention.v_proj.weight.copy_(basis.T)
    attention.o_proj.weight.copy_(_FOUND * basis)
