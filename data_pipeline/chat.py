"""General conversations in the forms that they are published in: Alpaca, ShareGPT, messages, BELLE, CrossWOZ.

The form is recognised row by row. A conversation becomes ``messages``: an optional system turn, then user and
assistant in turn, an assistant last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.readers.files import Refusal, read_path
from data_pipeline.readers.formats import RowError
from pii import patterns
from pii.codec import Message
from pii.spans import is_unicode
from pii.taxonomy import shipped

SAMPLES = Path(__file__).with_name("samples")
"""The conversations that come with the product; see the NOTICE beside them."""

_ROLES = {
    "system": "system",
    "user": "user", "human": "user", "usr": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "bot": "assistant", "chatgpt": "assistant",
    # In task dialogues (CrossWOZ, MultiWOZ) the "system" is the side that answers.
    "sys": "assistant",
}  # fmt: skip


def read_chat(path: Path, max_chars: int) -> Iterator[tuple[str, int, list[Message]] | Refusal]:
    """Conversations of a file or folder, each with its file and line.

    Args:
        path: where they lie.
        max_chars: longest conversation; a longer one keeps the leading turns that fit, or is refused.

    Raises DataError where nothing is there.
    """
    for row in read_path(path):
        if isinstance(row, Refusal):
            yield row
            continue
        try:
            messages = _shortened(_alternating(_turns(row.value)), max_chars)
        except RowError as error:
            yield Refusal(row.file, row.line, str(error))
        else:
            yield row.file, row.line, messages


def answers_hold_pii(messages: Sequence[Message]) -> bool:
    """Whether the recognisers find personal information in what a model would be trained to say."""
    types = shipped().default_types
    return any(
        patterns.find(message["content"], types) for message in messages if message["role"] == "assistant"
    )


def _turns(row: Any) -> list[Message]:
    """The turns of a row, in the roles of ChatML."""
    if not isinstance(row, Mapping):
        raise RowError("row_is_not_an_object")
    if "messages" in row:
        return _listed(row["messages"], "role", "content")
    if "conversations" in row:
        return _listed(row["conversations"], "from", "value")
    if isinstance(row.get("instances"), list) and row["instances"]:
        # Self-instruct seed tasks: one instruction with worked instances; the first one is the example.
        row = {"instruction": row.get("instruction"), **row["instances"][0]}
    question = row.get("instruction", row.get("question"))
    answer = row.get("output", row.get("std_answer"))
    if not isinstance(question, str) or not isinstance(answer, str):
        raise RowError("unknown_chat_format")
    more = row.get("input")
    asked = f"{question}\n{more}" if isinstance(more, str) and more.strip() else question
    turns: list[Message] = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    if isinstance(row.get("system"), str) and row["system"].strip():
        turns.insert(0, {"role": "system", "content": row["system"]})
    return turns


def _listed(turns: Any, role_key: str, content_key: str) -> list[Message]:
    if not isinstance(turns, list):
        raise RowError("unknown_chat_format")
    listed: list[Message] = []
    for turn in turns:
        role = _ROLES.get(str(turn.get(role_key)).casefold()) if isinstance(turn, Mapping) else None
        content = turn.get(content_key) if role else None
        if role is None or not isinstance(content, str):
            raise RowError("unknown_chat_role")
        listed.append({"role": role, "content": content})
    return listed


def _alternating(turns: list[Message]) -> list[Message]:
    """The turns up to the last answer. Raises RowError: roles that do not alternate, an empty turn."""
    while turns and turns[-1]["role"] != "assistant":
        turns = turns[:-1]
    spoken = turns[1:] if turns and turns[0]["role"] == "system" else turns
    expected = ("user", "assistant")
    if not spoken or any(turn["role"] != expected[i % 2] for i, turn in enumerate(spoken)):
        raise RowError("roles_do_not_alternate")
    if not all(turn["content"].strip() for turn in spoken):
        raise RowError("empty_turn")
    if not all(is_unicode(turn["content"]) for turn in turns):
        raise RowError("lone_surrogate")
    return turns


def _shortened(turns: list[Message], max_chars: int) -> list[Message]:
    """The leading exchanges that fit. Raises RowError where not even the first does."""
    while turns and sum(len(turn["content"]) for turn in turns) > max_chars:
        turns = turns[:-2]
    if not turns or turns[-1]["role"] != "assistant":
        raise RowError("too_long")
    return turns
