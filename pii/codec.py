"""Both halves of the format: the prompt and answer that a model is trained on, and their reading.

    system     Extract PII as JSON.                        (the default types)
               Extract PII as JSON: PERSON_NAME, LOCATION  (named types)
    user       the text, verbatim
    assistant  {"entities":[{"type":"PERSON_NAME","value":"张三"}]}

An answer is compact JSON in order of appearance. It holds no offsets by default: Qwen2 spends a token on
every digit and models cannot count, so code finds the places (`pii.grounding`). The format has a version
and a fingerprint that travel with a model; serving refuses a model of another one.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Never, Protocol, TypedDict

from pii.spans import Span
from pii.taxonomy import shipped

VERSION = 1

AnswerStyle = Literal["value", "with_offsets", "grouped"]
"""``value``: type and value; ``with_offsets``: start and end too; ``grouped``: lists of values by type,
``{"PERSON_NAME":["张三"]}``. The latter two are kept so that what they cost and save can be measured."""

Problem = Literal["", "truncated", "not_json", "wrong_schema", "text_around_json"]
"""What is wrong with an answer; see `Answer.problem`."""

INSTRUCTION = "Extract PII as JSON"
TURN_START, TURN_END = "<|im_start|>", "<|im_end|>"
"""ChatML's control tokens, as in Qwen2, Qwen2.5 and Qwen3."""

_SELECTIONS = 64
"""Selections of types whose prompt is kept tokenised, but for the text."""


class Message(TypedDict):
    """One turn of a conversation, in the form that chat templates and TRL read."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Mention:
    """What a model says of one entity. Offsets only where the style has them; they are not trusted."""

    type: str
    value: str
    start: int | None = None
    end: int | None = None

    def __repr__(self) -> str:
        return f"Mention(type={self.type!r}, num_chars={len(self.value)})"


@dataclass(frozen=True, slots=True)
class Answer:
    """What could be read from a model's answer.

    Attributes:
        mentions: every readable entity, in the order written.
        problem: empty for a complete answer in the format; ``truncated``: it was begun and reading stopped
            before its end; ``text_around_json``: it is whole, with prose or a code fence around it;
            ``wrong_schema``: JSON of another shape, in whole or in part; ``not_json``: none of this.
        valid_json: the whole string is one JSON value.
        valid_schema: it is an object whose ``entities`` are all objects with string type and value.
    """

    mentions: tuple[Mention, ...]
    problem: Problem
    valid_json: bool
    valid_schema: bool


# --- prompt -----------------------------------------------------------------------------------------


def prompt(text: str, types: Sequence[str] | None = None) -> list[Message]:
    """The conversation up to the answer.

    Args:
        text: one window of a document, verbatim.
        types: the requested types in taxonomy order; None or the default types give the short prompt.
    """
    default = types is None or tuple(types) == shipped().default_types
    instruction = f"{INSTRUCTION}." if default else f"{INSTRUCTION}: {', '.join(types or ())}"
    return [{"role": "system", "content": instruction}, {"role": "user", "content": text}]


class Tokenizer(Protocol):
    """The part of a Hugging Face tokenizer that `encode` needs."""

    def __call__(self, text: str, *, add_special_tokens: bool, split_special_tokens: bool) -> Any:
        """Return an object whose ``input_ids`` is a list of token ids."""


def encode(
    tokenizer: Tokenizer, messages: Iterable[Message], *, answer_next: bool
) -> tuple[list[int], list[bool]]:
    """Token ids of a conversation in ChatML, and for each whether it belongs to an assistant's turn.

    Equal to Qwen2's chat template for text that spells no control token and does not begin with white space
    (which the template would join to the line break before it). The content of a turn is never read as
    control tokens: a text that spells ``<|im_end|>`` cannot end its turn.

    Args:
        tokenizer: a tokenizer with ChatML's control tokens.
        messages: the turns in order.
        answer_next: True to end with the opening of an assistant's turn (a prompt).

    Returns:
        ``input_ids`` and ``is_answer`` of the same length; the answer includes its ``<|im_end|>``, which
        the model has to learn to write, and not the newline behind it.
    """
    ids: list[int] = []
    is_answer: list[bool] = []
    for piece in _pieces(messages, answer_next):
        piece_ids = piece.ids(tokenizer)
        ids.extend(piece_ids)
        is_answer.extend([piece.is_answer] * len(piece_ids))
    return ids, is_answer


class _Piece(NamedTuple):
    """A part of a conversation that is tokenised by itself."""

    text: str
    is_control: bool = False
    is_answer: bool = False

    def ids(self, tokenizer: Tokenizer) -> list[int]:
        split = not self.is_control
        ids: list[int] = tokenizer(self.text, add_special_tokens=False, split_special_tokens=split)[
            "input_ids"
        ]
        return ids


def _pieces(messages: Iterable[Message], answer_next: bool) -> Iterator[_Piece]:
    for message in messages:
        is_answer = message["role"] == "assistant"
        yield _Piece(TURN_START, is_control=True)
        yield _Piece(f"{message['role']}\n")
        yield _Piece(message["content"], is_answer=is_answer)
        yield _Piece(TURN_END, is_control=True, is_answer=is_answer)
        yield _Piece("\n")
    if answer_next:
        yield _Piece(TURN_START, is_control=True)
        yield _Piece("assistant\n")


class PromptEncoder:
    """Token ids of prompts, as `encode` gives them; what stands around the text is tokenised once.

    Args:
        tokenizer: see `encode`.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._around = functools.lru_cache(_SELECTIONS)(self._tokenised_around)

    def __call__(self, text: str, types: Sequence[str]) -> list[int]:
        """``encode(tokenizer, prompt(text, types), answer_next=True)``, without the roles."""
        before, after = self._around(tuple(types))
        return [*before, *_Piece(text).ids(self._tokenizer), *after]

    def _tokenised_around(self, types: tuple[str, ...]) -> tuple[list[int], list[int]]:
        pieces = list(_pieces(prompt("", types), answer_next=True))
        # The text is the content of the last message.
        at = len(pieces) - 5
        before, after = (
            [token for piece in part for token in piece.ids(self._tokenizer)]
            for part in (pieces[:at], pieces[at + 1 :])
        )
        return before, after


def answer_ids(tokenizer: Tokenizer, answer: str) -> list[int]:
    """Token ids of an answer as `encode` gives them, without the end of the turn."""
    return _Piece(answer).ids(tokenizer)


# --- answer -----------------------------------------------------------------------------------------


def render(text: str, spans: Iterable[Span], style: AnswerStyle = "value") -> str:
    """The answer that a perfect model gives: compact JSON, in order of appearance (within its group)."""
    if style == "grouped":
        groups: dict[str, list[str]] = {}
        for span in sorted(spans):
            groups.setdefault(span.type, []).append(span.value(text))
        return json.dumps(groups, ensure_ascii=False, separators=(",", ":"))
    entities = []
    for span in sorted(spans):
        entity: dict[str, Any] = {"type": span.type, "value": span.value(text)}
        if style == "with_offsets":
            entity |= {"start": span.start, "end": span.end}
        entities.append(entity)
    return json.dumps({"entities": entities}, ensure_ascii=False, separators=(",", ":"))


_EMPTY = render("", ())


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
"""JSON as its standard has it: Python's own reader takes NaN and Infinity too."""


def parse(answer: str, style: AnswerStyle = "value") -> Answer:
    """Read any string that a model may write. Never raises.

    A complete answer in the format has no problem. Otherwise every entity up to the first that cannot be
    read is returned with the problem. The first two styles are read alike.
    """
    if style == "grouped":
        return _parse_grouped(answer)
    try:
        value = _DECODER.decode(answer)
    except (ValueError, RecursionError):
        return _salvage(answer)
    mentions, well_formed = _mentions(value)
    return Answer(mentions, "" if well_formed else "wrong_schema", True, well_formed)


def _mentions(value: Any) -> tuple[tuple[Mention, ...], bool]:
    entities = value.get("entities") if isinstance(value, dict) else value
    if not isinstance(entities, list):
        return (), False
    read = [_mention(entity) for entity in entities]
    mentions = tuple(mention for mention in read if mention is not None)
    return mentions, isinstance(value, dict) and len(mentions) == len(read)


def _mention(entity: Any) -> Mention | None:
    if not isinstance(entity, dict):
        return None
    kind, value = entity.get("type"), entity.get("value")
    if not isinstance(kind, str) or not isinstance(value, str) or not value:
        return None
    start, end = entity.get("start"), entity.get("end")
    return Mention(kind, value, start if type(start) is int else None, end if type(end) is int else None)


_HEAD = re.compile(r'\{\s*"entities"\s*:\s*\[')


def _salvage(answer: str) -> Answer:
    """Read what is readable of a string that is not one JSON value."""
    head = _HEAD.search(answer)
    if head is not None:
        try:
            value, _ = _DECODER.raw_decode(answer, head.start())
        except (ValueError, RecursionError):
            pass
        else:
            mentions, well_formed = _mentions(value)
            return Answer(mentions, "text_around_json" if well_formed else "wrong_schema", False, False)
    # No whole answer in it: read the objects one by one until one of them does not end.
    mentions_read: list[Mention] = []
    position = answer.find("{", head.end() if head else 0)
    while position >= 0:
        try:
            value, end = _DECODER.raw_decode(answer, position)
        except (ValueError, RecursionError):
            break
        mention = _mention(value)
        mentions_read += (mention,) if mention else _mentions(value)[0]
        position = answer.find("{", end)
    begun = head is not None or _is_begun(answer)
    problem: Problem = "truncated" if begun else "wrong_schema" if mentions_read else "not_json"
    return Answer(tuple(mentions_read), problem, False, False)


def _is_begun(answer: str) -> bool:
    """Whether the string ends within the opening of an answer: cut off before the first entity."""
    opening = answer.find("{")
    return opening >= 0 and _EMPTY.startswith(answer[opening:])


_GROUP_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]]', re.DOTALL)


class _Groups(list[tuple[str, Any]]):
    """A JSON object as its pairs: a weak model opens one group twice, and a dict would forget the first."""


_GROUPS = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_Groups)


def _parse_grouped(answer: str) -> Answer:
    try:
        value = _GROUPS.decode(answer)
    except (ValueError, RecursionError):
        begun = answer.lstrip().startswith("{")
        return Answer(_salvaged_groups(answer), "truncated" if begun else "not_json", False, False)
    pairs = value if isinstance(value, _Groups) else []
    items = [(kind, item) for kind, group in pairs for item in (group if isinstance(group, list) else [None])]
    mentions = tuple(Mention(kind, item) for kind, item in items if isinstance(item, str) and item)
    well_formed = isinstance(value, _Groups) and len(mentions) == len(items)
    return Answer(mentions, "" if well_formed else "wrong_schema", True, well_formed)


def _salvaged_groups(answer: str) -> tuple[Mention, ...]:
    """The whole values of an answer that breaks off."""
    read: list[Mention] = []
    kind, is_inside = "", False
    for found in _GROUP_TOKEN.finditer(answer):
        if found[0] in "[]":
            is_inside = found[0] == "["
            continue
        try:
            value = _DECODER.decode(found[0])
        except ValueError:
            break
        if not is_inside:
            kind = value
        elif kind and value:
            read.append(Mention(kind, value))
    return tuple(read)


_STRING = r'"((?:[^"\\]|\\.)+)"'
_OFFSETS = r'(?:\s*,\s*"start"\s*:\s*\d+\s*,\s*"end"\s*:\s*\d+)?'
_ENTITY = re.compile(
    rf'\{{\s*"type"\s*:\s*{_STRING}\s*,\s*"value"\s*:\s*{_STRING}{_OFFSETS}\s*\}}', re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Written:
    """Where an answer writes one entity, in code points of the answer; ends exclusive, quotes outside."""

    type_start: int
    type_end: int
    value_start: int
    value_end: int


def places(answer: str) -> tuple[Written, ...]:
    """Where an answer writes its entities: one place for each mention of `parse`, if it is in the format.

    In an answer of another shape the two may differ in number; then nothing is known of its places.
    """
    # A quote inside of a JSON string has a backslash before it, so that a value cannot look like an entity.
    return tuple(Written(*found.span(1), *found.span(2)) for found in _ENTITY.finditer(answer))


# --- grammar ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Grammar:
    """What may be answered to one request: exactly the compact JSON of `render` with the requested types.

    Every value is a verbatim, non-empty slice of the text: one that is not in the text cannot be written.
    There is no optional whitespace, in which a weak model could loop.

    Attributes:
        text: of the window; never shown by repr.
        types: those that may be written.
        style: of the answer.
    """

    text: str = field(repr=False)
    types: tuple[str, ...]
    style: AnswerStyle = "value"

    def lark(self) -> str:
        """In llguidance's dialect of Lark.

        Source of the syntax: https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md
        """
        chunks = [json.dumps(char, ensure_ascii=False)[1:-1] for char in self.text]
        names = " | ".join(json.dumps(name) for name in self.types)
        offsets = r' ",\"start\":" INT ",\"end\":" INT' if self.style == "with_offsets" else ""
        shape = [
            r'start: "{\"entities\":[" [entity ("," entity)*] "]}"',
            r'entity: "{\"type\":\"" TYPE "\",\"value\":\"" VALUE "\""' + offsets + r' "}"',
        ]
        if self.style == "grouped":
            shape = [
                r'start: "{" [group ("," group)*] "}"',
                r'group: "\"" TYPE "\":[" item ("," item)* "]"',
                r'item: "\"" VALUE "\""',
            ]
        rules = [
            "%llguidance {}",
            *shape,
            f"TYPE: {names}",
            # The empty string is a substring of everything, and is no value.
            "VALUE: NONEMPTY & SLICE",
            r"NONEMPTY: /(.|\n)+/",
            f"SLICE: %regex {json.dumps({'substring_chunks': chunks}, ensure_ascii=False)}",
        ]
        if offsets:
            rules.append("INT: /0|[1-9][0-9]{0,6}/")
        return "\n".join(rules)


# --- identity ---------------------------------------------------------------------------------------


def fingerprint() -> str:
    """SHA-256 over the version and a rendered sample: changes whenever prompt or answer would.

    The default types belong to it: the short prompt asks for them without naming them. Grouped answers are
    left to the next version: their sample would refuse every model of this one, none of which writes them.
    """
    text, span = 'A"\\\n张', Span(4, 5, "PERSON_NAME")
    sample = [
        VERSION,
        shipped().default_types,
        prompt(text),
        prompt(text, ("PERSON_NAME", "LOCATION")),
        render(text, [span]),
        render(text, [span], "with_offsets"),
        TURN_START,
        TURN_END,
    ]
    return hashlib.sha256(json.dumps(sample).encode()).hexdigest()
