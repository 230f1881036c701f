"""The schema of ``objective:`` in ``train.yaml``: what a run learns from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from configs.reader import StrictConfig


class Answers(StrictConfig):
    """The gold answers of the data folder: supervised fine-tuning."""

    kind: Literal["answers"] = "answers"
    """``answers``."""


class Distillation(StrictConfig):
    """The gold answers, and the probabilities that a teacher gives to every token of them.

    Hinton et al. 2015, https://arxiv.org/abs/1503.02531. With ``rows: chat`` and the base as its own
    teacher it holds on to what the base could do (learning without forgetting, Li and Hoiem 2016,
    https://arxiv.org/abs/1606.09282), while the labelled rows teach the task.
    """

    kind: Literal["distill"]
    """``distill``."""
    teacher: str
    """A local model folder or a hub id with the very tokens of the base."""
    revision: str | None = None
    """Commit, tag or branch of a hub id; null: its main branch."""
    weight: float = Field(default=0.5, gt=0, le=1)
    """Share of the teacher in the loss; the rest is the gold answer's."""
    temperature: float = Field(default=1.0, gt=0)
    """Both distributions are flattened by it; its square undoes what that does to the gradient."""
    rows: Literal["all", "labelled", "chat"] = "all"
    """Which rows the teacher speaks to; the others have the gold answer alone."""


class Preference(StrictConfig):
    """Pairs of a right and a wrong answer to the same prompt, from ``pii data pairs``.

    Direct preference optimisation, Rafailov et al. 2023, https://arxiv.org/abs/2305.18290.
    """

    kind: Literal["dpo"]
    """``dpo``."""
    pairs: Path
    """The folder that ``pii data pairs`` wrote."""
    beta: float = Field(default=0.1, gt=0)
    """How dear it is to leave the model that the run began with."""
    answers: float = Field(default=0.2, ge=0)
    """Weight of the right answers' own loss. Without it both answers of a pair may become unlikely
    (Pang et al. 2024, https://arxiv.org/abs/2404.19733)."""


class Rewards(StrictConfig):
    """Rewards that code computes from the model's own answers, by TRL's GRPO.

    Shao et al. 2024, https://arxiv.org/abs/2402.03300. General chat has no reward and is passed over. The
    reward of an answer is the weighted sum of the three below.
    """

    kind: Literal["grpo"]
    """``grpo``."""
    samples: int = Field(default=8, ge=2)
    """Answers to one prompt, which are compared with each other."""
    prompts: int = Field(default=4, gt=0)
    """Prompts of one batch on one device; stands in place of `batch.tokens`."""
    temperature: float = Field(default=1.0, gt=0)
    """Of the sampling: 0 would make all answers of a prompt the same."""
    kl: float = Field(default=0.0, ge=0)
    """How dear it is to leave the model that the run began with; 0: free, and no second copy is held."""
    f1: float = Field(default=1.0, ge=0)
    """Weight of the strict span F1 of the answer."""
    validity: float = Field(default=0.2, ge=0)
    """Weight of being a whole answer in the format: 1 or 0."""
    leakage: float = Field(default=0.5, ge=0)
    """Weight of the share of the gold characters that no span covers, whatever its type; it is taken off."""


Objective = Annotated[Answers | Distillation | Preference | Rewards, Field(discriminator="kind")]
"""What a run learns from; ``kind`` says which."""
