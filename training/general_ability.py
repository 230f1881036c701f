"""What a model can do beside its task: general answers and multiple choice, both by log-likelihood."""

# ruff: noqa: TID253 - imported inside functions alone.

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from pii.errors import DataError
from training.batches import Collator, bounds
from training.examples import Row, encode_rows
from training.loss import answer_losses

_LETTERS = "ABCD"
_WORDS = {"en": ("Question: ", "\nAnswer:", " "), "zh": ("问题：", "\n答案：", "")}
"""By language: what stands before the question, behind the options, and before the letter."""
_BATCH_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Question:
    """One question with four options.

    Attributes:
        language: ``en`` or ``zh``.
        question: what is asked.
        options: the four answers to choose from.
        answer: the number of the right one, from 0.
    """

    language: str
    question: str = field(repr=False)
    options: tuple[str, ...] = field(repr=False)
    answer: int

    @property
    def prompt(self) -> str:
        """The text that a model goes on from, in the form of MMLU (https://arxiv.org/abs/2009.03300)."""
        before, behind, _ = _WORDS[self.language]
        options = "".join(
            f"\n{letter}. {option}" for letter, option in zip(_LETTERS, self.options, strict=True)
        )
        return f"{before}{self.question}{options}{behind}"


def read_questions(path: Path) -> list[Question]:
    """Questions of a JSONL file: ``language``, ``question``, ``options`` (four), ``answer`` (0 to 3).

    Raises DataError with file and line at one that cannot be read.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file of questions")
    return list(_read(path))


def _read(path: Path) -> Iterator[Question]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                values = json.loads(line)
                made = Question(
                    values["language"],
                    str(values["question"]),
                    tuple(map(str, values["options"])),
                    values["answer"],
                )
                if made.language not in _WORDS or len(made.options) != 4 or made.answer not in range(4):
                    raise ValueError
            except (ValueError, KeyError, TypeError):
                raise DataError(f"{path}:{number}: not a question with four options") from None
            yield made


def choices(model: Any, tokenizer: Any, questions: Sequence[Question]) -> list[int]:
    """For each question the option whose letter the model finds likeliest, from 0."""
    prompts, letters = zip(*(_tokens(tokenizer, question) for question in questions), strict=True)
    order = sorted(range(len(questions)), key=lambda place: len(prompts[place]))
    cuts = bounds([len(prompts[place]) for place in order], _BATCH_TOKENS)
    chosen = [0] * len(questions)
    for start, end in pairwise(cuts):
        places = order[start:end]
        longest = max(len(prompts[place]) for place in places)
        ids = torch.full((len(places), longest), tokenizer.pad_token_id)
        mask = torch.zeros_like(ids)
        for row, place in enumerate(places):
            ids[row, longest - len(prompts[place]) :] = torch.tensor(prompts[place])
            mask[row, longest - len(prompts[place]) :] = 1
        with torch.no_grad():
            logits = model(
                input_ids=ids.to(model.device), attention_mask=mask.to(model.device), logits_to_keep=1
            ).logits[:, -1]
        for row, place in enumerate(places):
            chosen[place] = int(logits[row, torch.tensor(letters[place])].argmax())
    return chosen


def _tokens(tokenizer: Any, question: Question) -> tuple[list[int], list[int]]:
    """The prompt's tokens and the one token in which each letter differs from the others."""
    before = _WORDS[question.language][2]
    prompt = tokenizer(question.prompt, add_special_tokens=False)["input_ids"]
    written = [tokenizer(f"{before}{letter}", add_special_tokens=False)["input_ids"] for letter in _LETTERS]
    # A small vocabulary may write the space by itself: it belongs to the prompt then.
    common = next(place for place in range(len(written[0])) if len({ids[place] for ids in written}) > 1)
    return [*prompt, *written[0][:common]], [ids[common] for ids in written]


def answer_loss(model: Any, tokenizer: Any, rows: Sequence[Row], context_tokens: int) -> float:
    """Mean negative log-likelihood of a token of the rows' answers, in nats.

    Raises DataError: no row fits into the context.
    """
    examples, _ = encode_rows(rows, tokenizer, context_tokens)
    if not examples:
        raise DataError(f"no conversation fits into {context_tokens} tokens")
    examples.sort(key=lambda example: len(example["input_ids"]))
    collate = Collator(tokenizer.pad_token_id, dict.fromkeys((one["source"] for one in examples), 0))
    total, count = 0.0, 0
    cuts = bounds([len(example["input_ids"]) for example in examples], _BATCH_TOKENS)
    for start, end in pairwise(cuts):
        batch = collate(examples[start:end])
        inputs = {name: batch[name].to(model.device) for name in ("input_ids", "attention_mask", "labels")}
        with torch.no_grad():
            losses, _ = answer_losses(model, inputs, fused=False)
        total, count = total + losses.double().sum().item(), count + losses.numel()
    return total / count
