"""The schema of ``tagger.yaml``: how the character tagger is made."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from configs.reader import StrictConfig
from training.pretrain_recipe import EndlessRecipe


class NetworkRecipe(StrictConfig):
    """Sizes of `training.tagger_network`."""

    embedding: int = Field(default=128, gt=0)
    """Width of a character's embedding."""
    width: int = Field(default=256, gt=0)
    """Width of the states."""
    steps: tuple[int, ...] = (1, 1, 2, 4, 8, 16, 2, 1)
    """For each convolution how far the two neighbours stand that it looks at, in characters."""
    attention_behind: int = Field(default=6, ge=0)
    """The number of convolutions before the layer of attention."""
    heads: int = Field(default=4, gt=0)
    """Heads of the attention."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % (2 * self.heads):
            raise ValueError("width has to be a multiple of twice the heads")
        if not self.steps or min(self.steps) < 1 or self.attention_behind > len(self.steps):
            raise ValueError("steps: expected numbers from 1, as many as stand before the attention or more")
        return self


class TaggerRecipe(EndlessRecipe):
    """``tagger.yaml``. A token is a character here."""

    characters: int = Field(default=6000, ge=1)
    """Characters that are known by themselves, the most frequent ones; of others the class is seen."""
    characters_documents: int = Field(default=20_000, gt=0)
    """Generated documents whose characters are counted."""
    unknown: float = Field(default=0.03, ge=0, lt=1)
    """Part of the characters of which the network sees the class alone, so that it learns to do with it."""
    network: NetworkRecipe = NetworkRecipe()
    """Sizes."""

    @model_validator(mode="after")
    def _documents_alone(self) -> Self:
        if any(not set(phase.mix) <= {"extraction", "inserted"} for phase in self.phases):
            raise ValueError("phases: a tagger learns from `extraction` and `inserted` documents alone")
        return self
