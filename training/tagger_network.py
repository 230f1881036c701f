"""The network of the character tagger: convolutions over characters and one look at the whole window.

Convolutions of width 3 whose steps grow (dilated: Strubell et al. 2017, https://aclanthology.org/D17-1283/)
see what stands around a character; a layer of attention sees the heading of its column.
B windows, T characters, E the width of an embedding, W of the network, N tags.
"""

# ruff: noqa: TID253 - imported inside functions alone.

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import gelu, pad, scaled_dot_product_attention

from pii.tagger_folder import PADDING
from training.tagger_recipe import NetworkRecipe

_ROTARY_BASE = 10_000.0


class TaggerNetwork(nn.Module):
    """Numbers of characters to logits of tags.

    Args:
        sizes: of the layers.
        num_characters: size of the numbering.
        num_tags: how many tags there are.
    """

    def __init__(self, sizes: NetworkRecipe, num_characters: int, num_tags: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_characters, sizes.embedding)
        nn.init.normal_(self.embedding.weight, std=0.5)
        self.opening = nn.Linear(3 * sizes.embedding, sizes.width)
        self.layers = nn.ModuleList(
            [Convolution(sizes.width, step) for step in sizes.steps[: sizes.attention_behind]]
            + [Attention(sizes.width, sizes.heads)]
            + [Convolution(sizes.width, step) for step in sizes.steps[sizes.attention_behind :]]
        )
        self.norm = nn.RMSNorm(sizes.width)
        self.head = nn.Linear(sizes.width, num_tags)

    def forward(self, numbers_BT: torch.Tensor) -> torch.Tensor:
        """Logits (B, T, N) for numbers (B, T); what is padding has no influence on the rest."""
        real_BT = numbers_BT != PADDING
        hidden_BTW = self.opening(_neighbours(self.embedding(numbers_BT) * real_BT[..., None], 1))
        for layer in self.layers:
            hidden_BTW = layer(hidden_BTW, real_BT)
        logits: torch.Tensor = self.head(self.norm(hidden_BTW))
        return logits


class LogProbabilities(nn.Module):
    """The network as it is served: log-probabilities, in float32."""

    def __init__(self, network: TaggerNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, numbers_BT: torch.Tensor) -> torch.Tensor:
        """Log-probabilities (B, T, N) for numbers (B, T)."""
        return self.network(numbers_BT).float().log_softmax(-1)


class Convolution(nn.Module):
    """Adds what a character and the two that stand so many places before and behind it say together."""

    def __init__(self, width: int, step: int) -> None:
        super().__init__()
        self.step, self.norm, self.mix = step, nn.RMSNorm(width), nn.Linear(3 * width, width)

    def forward(self, hidden_BTW: torch.Tensor, real_BT: torch.Tensor) -> torch.Tensor:
        """States (B, T, W) to states (B, T, W)."""
        seen = _neighbours(self.norm(hidden_BTW) * real_BT[..., None], self.step)
        return hidden_BTW + gelu(self.mix(seen))


class Attention(nn.Module):
    """Self-attention over the whole window, in both directions, with rotary positions (Su et al. 2021)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.norm = heads, nn.RMSNorm(width)
        self.incoming, self.outgoing = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, hidden_BTW: torch.Tensor, real_BT: torch.Tensor) -> torch.Tensor:
        """States (B, T, W) to states (B, T, W)."""
        batch, length, width = hidden_BTW.shape
        parts = self.incoming(self.norm(hidden_BTW)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        half = width // self.heads // 2
        rates = _ROTARY_BASE ** (-torch.arange(half, device=hidden_BTW.device).float() / half)
        angles = torch.arange(length, device=hidden_BTW.device).float()[:, None] * rates
        cos, sin = angles.cos().to(query.dtype), angles.sin().to(query.dtype)
        seen = scaled_dot_product_attention(
            _turned(query, cos, sin), _turned(key, cos, sin), value, attn_mask=real_BT[:, None, None, :]
        )
        mixed: torch.Tensor = self.outgoing(seen.transpose(1, 2).reshape(batch, length, width))
        return hidden_BTW + mixed


def _turned(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    first, second = states.chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


def _neighbours(states_BTW: torch.Tensor, step: int) -> torch.Tensor:
    """Each state beside those so many places before and behind it, zeros beyond the ends: (B, T, 3 W)."""
    length = states_BTW.shape[1]
    wide = pad(states_BTW, (0, 0, step, step))
    return torch.cat([wide[:, :length], states_BTW, wide[:, 2 * step : 2 * step + length]], -1)
