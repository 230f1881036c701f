"""An auxiliary task of the embedded base model: which entity a token of the document belongs to.

The answer alone teaches where entities are by a few tokens an example; a tag for every token of the document
teaches it by all of them. A small head on a layer in the middle reads the tags, so that the layers above can
use what it makes the ones below find out (Søgaard and Goldberg 2016, https://aclanthology.org/P16-2038/). It
is no part of the model that is written.
"""

# ruff: noqa: TID253 - imported inside functions alone.

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from pii import codec
from pii.grounding import ground
from pii.tags import num_tags, tags_of
from pii.taxonomy import shipped

UNTAGGED = -100
"""The tag of what is not a token of a document."""

DELAYS = (0, 2)
"""A token tells its own tag and that of the token two before it: attention looks back only, and where an
entity began is often plain only some characters later."""


_TYPES = tuple(entity_type.name for entity_type in shipped())

_CLOSING = 2
"""Tokens with which a turn ends in ChatML: its control token and the line break."""


def tags(tokenizer: Any, messages: list[codec.Message]) -> list[int]:
    """The tag of every token of an extraction example; `UNTAGGED` outside of the document.

    Args:
        tokenizer: with offsets, as for `pii.codec.encode`.
        messages: system, user and assistant turn; the answer is one that can be grounded.
    """
    instruction, document, answer = messages
    text = document["content"]
    pieces = tokenizer(
        text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True
    )["offset_mapping"]
    spans = ground(text, codec.parse(answer["content"]).mentions).spans
    found = tags_of(pieces, spans, _TYPES)
    # An empty turn in the document's place: its last two tokens, the turn's end and the line's, come after.
    opening, _ = codec.encode(tokenizer, [instruction, {"role": "user", "content": ""}], answer_next=False)
    return [*([UNTAGGED] * (len(opening) - _CLOSING)), *found]


class TagHead(nn.Module):
    """Reads the tags from the hidden states of one layer.

    Args:
        hidden_size: width of the model.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(hidden_size)
        self.heads = nn.Linear(hidden_size, len(DELAYS) * num_tags(_TYPES))
        # Not random: a run depends on its seed alone.
        nn.init.zeros_(self.heads.weight)
        nn.init.zeros_(self.heads.bias)

    def loss(self, hidden_BTD: torch.Tensor, tags_BT: torch.Tensor) -> torch.Tensor:
        """Mean cross entropy over the tags that the states can tell; 0 where there is none.

        Args:
            hidden_BTD: the layer's hidden states (B, T, hidden size).
            tags_BT: `tags` of the same tokens (B, T), int64, `UNTAGGED` where there is none.
        """
        logits = self.heads(self.norm(hidden_BTD)).unflatten(-1, (len(DELAYS), num_tags(_TYPES))).float()
        losses = [
            cross_entropy(
                logits[:, delay:, number].flatten(0, 1),
                tags_BT[:, : tags_BT.size(1) - delay].flatten(),
                ignore_index=UNTAGGED,
                reduction="sum",
            )
            for number, delay in enumerate(DELAYS)
        ]
        count = (tags_BT != UNTAGGED).sum().clamp(min=1)
        return torch.stack(losses).sum() / (len(DELAYS) * count)
