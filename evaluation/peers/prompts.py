"""The words in which a general model is asked: an instruction that explains the types, and examples."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from configs.reader import StrictConfig, load
from pii.codec import Message
from pii.taxonomy import shipped

FILE = Path(__file__).with_name("prompts.yaml")


class _Entity(StrictConfig):
    type: str
    value: str


class _Example(StrictConfig):
    text: str
    entities: tuple[_Entity, ...]


class _Prompts(StrictConfig):
    instruction: str
    examples: tuple[_Example, ...]


@cache
def _prompts() -> _Prompts:
    return load(FILE, _Prompts)


def messages(text: str, types: Sequence[str], shots: int) -> list[Message]:
    """The conversation up to the answer.

    Args:
        text: one window of a document, verbatim.
        types: what is asked for, each explained by its two names.
        shots: examples before the text, each a turn of its own; more than there are: all.
    """
    explained = "\n".join(f"- {name}: {shipped()[name].en} ({shipped()[name].zh})" for name in types)
    turns: list[Message] = [{"role": "system", "content": _prompts().instruction.format(types=explained)}]
    for example in _prompts().examples[:shots]:
        turns.append({"role": "user", "content": example.text})
        turns.append({"role": "assistant", "content": _answer(example, types)})
    return [*turns, {"role": "user", "content": text}]


def _answer(example: _Example, types: Sequence[str]) -> str:
    """What a perfect model answers to an example, in the format of `codec.render`."""
    entities = [{"type": e.type, "value": e.value} for e in example.entities if e.type in types]
    return json.dumps({"entities": entities}, ensure_ascii=False, separators=(",", ":"))
