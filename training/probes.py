"""What the base model can do on documents of families that it is never trained on."""

# ruff: noqa: TID253 - imported inside functions alone.

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from data_pipeline import rendering
from data_pipeline.splits import Split
from pii import codec
from pii.spans import Document
from pii.taxonomy import shipped
from training import entity_f1
from training.endless import Stream
from training.examples import Row
from training.learner import Learner
from training.pretrain_recipe import AnsweringProbeRecipe

SETS: dict[str, Split] = {"own": "validation", "foreign": "foreign"}
"""Name of a probe and the split of ``pii data`` that it is drawn from. Test is looked at by nobody here."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One held-out document with its right answer.

    Attributes:
        ids: tokens of the conversation.
        first: place of the answer's first token.
        is_value: for each token of the answer, from `first` on, whether it belongs to a value.
        row: the same for `training.entity_f1`.
    """

    ids: list[int] = field(repr=False)
    first: int
    is_value: list[bool] = field(repr=False)
    row: Row


class Probes:
    """The fixed documents of a run and what is measured on them.

    Args:
        stream: where the documents come from.
        tokenizer: the model's.
        recipe: how many.
    """

    def __init__(self, stream: Stream, tokenizer: Any, recipe: AnsweringProbeRecipe) -> None:
        self._tokenizer, self._recipe = tokenizer, recipe
        self._sets: dict[str, list[Probe]] = {}
        for name, split in SETS.items():
            documents = stream.lessons.held_out(split, recipe.documents)
            made = [make_probe(document, tokenizer, name) for document in documents]
            self._sets[name] = [p for p in made if len(p.ids) <= stream.recipe.context_tokens]

    def measure(self, learner: Learner) -> dict[str, float]:
        """``loss_…`` of the answers, ``copied_…``: share of right value tokens, and ``f1_…``, by set.

        The tokens are predicted behind the right ones; F1 is of answers that the model writes alone.
        """
        learner.model.eval()
        measured: dict[str, float] = {}
        for name, probes in self._sets.items():
            measured |= {f"{what}_{name}": value for what, value in _teacher_forced(learner, probes).items()}
        answered = [p.row for probes in self._sets.values() for p in probes[: self._recipe.answered]]
        if answered:
            scores = entity_f1.measure(learner.model, self._tokenizer, answered)
            measured |= {k: v for k, v in scores.items() if not k.startswith("f1_type_")}
        learner.model.train()
        return measured


def _teacher_forced(learner: Learner, probes: Sequence[Probe]) -> dict[str, float]:
    losses, right, is_value = [], [], []
    for probe in probes:
        loss, correct = learner.predict(probe.ids, probe.first)
        losses.append(loss)
        right.append(correct)
        is_value.append(torch.tensor(probe.is_value))
    values = torch.cat(right)[torch.cat(is_value)]
    return {"loss": torch.cat(losses).mean().item(), "copied": values.float().mean().item()}


def make_probe(document: Document, tokenizer: Any, source: str) -> Probe:
    """Tokenise a document with its answer and mark the tokens of the values.

    Args:
        document: provable, as asked for.
        tokenizer: with offsets.
        source: name of the set.
    """
    *prompt, answer = rendering.conversation(document)
    opening = codec.encode(tokenizer, prompt, answer_next=True)[0]
    places = _value_places(document, answer["content"])
    written = tokenizer(
        answer["content"], add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True
    )
    inside = [any(s <= a and b <= e for s, e in places) for a, b in written["offset_mapping"]]
    end = tokenizer.convert_tokens_to_ids(codec.TURN_END)
    ids = [*opening, *written["input_ids"], end]
    types = document.types or shipped().default_types
    row = Row(document.id, source, (*prompt, answer), types, document.spans)
    return Probe(ids, len(opening), [*inside, False], row)


def _value_places(document: Document, answer: str) -> list[tuple[int, int]]:
    """Where the values stand in the rendered answer, without their quotation marks."""
    places, position = [], 0
    for span in document.spans:
        written = json.dumps(span.value(document.text), ensure_ascii=False)
        key = f'"type":"{span.type}","value":'
        start = answer.index(key + written, position) + len(key) + 1
        position = start + len(written) - 2
        places.append((start, position))
    return places
