"""Which sources a recipe really has, where they are, and the hashes of what a build reads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

import pii
from configs.errors import ConfigError
from configs.stage import file_hash
from data_pipeline.chat import SAMPLES, answers_hold_pii, read_chat
from data_pipeline.readers.card import SourceCard, load_card
from data_pipeline.readers.files import Refusal, Row, list_files, read_hub, read_path
from data_pipeline.recipe import ChatSourceConfig, DataConfig, SourceConfig
from pii import codec

State = Literal["used", "absent", "licence"]
"""``absent``: no place, or nothing there; ``licence``: kept out by the licence gate."""


@dataclass(frozen=True, slots=True)
class Input:
    """One labelled source of a recipe."""

    name: str
    state: State
    card: SourceCard
    config: SourceConfig

    def rows(self) -> Iterator[Row | Refusal]:
        """Its rows, from its file, folder or hub."""
        if self.config.path is not None:
            return read_path(self.config.path, self.config.files)
        return read_hub(self.config.hub or "", self.config.revision, self.config.splits)


def labelled_inputs(config: DataConfig) -> list[Input]:
    """The labelled sources of a recipe, in order, each with its state.

    Raises ConfigError: no such card, or a required source is not there.
    """
    found = []
    for name, source in config.sources.items():
        card = load_card(source.card)
        here = source.hub is not None or _is_there(source.path, source.required, f"sources.{name}")
        state: State = "absent" if not here else _gate(card.licence_class, config)
        found.append(Input(name, state, card, source))
    return found


def chat_state(name: str, source: ChatSourceConfig, config: DataConfig) -> State:
    """The state of a chat source. Raises ConfigError where a required one is not there."""
    here = _is_there(chat_path(source), source.required, f"chat.sources.{name}")
    return "absent" if not here else _gate(source.licence_class, config)


def chat_path(source: ChatSourceConfig) -> Path:
    """Where a chat source lies; paths that begin with ``samples/`` are the product's own."""
    return SAMPLES.joinpath(*source.path.parts[1:]) if is_own(source) else source.path


def is_own(source: ChatSourceConfig) -> bool:
    """Whether the conversations come with the product, so that it is known who is named in them."""
    return source.path.parts[0] == "samples"


def _gate(licence_class: str, config: DataConfig) -> State:
    return "used" if licence_class in config.licences else "licence"


def _is_there(path: Path | None, required: bool, where: str) -> bool:
    if path is not None and path.exists():
        return True
    if required:
        missing = "no path and no hub id" if path is None else f"{path}: no such file or folder"
        raise ConfigError(f"{where}: is required, but {missing}")
    return False


def fingerprints(config: DataConfig) -> dict[str, str]:
    """Name → hash of everything that a build reads: sources, chat, and the product's own code and data."""
    hashes = {"code": code_hash()}
    for source in labelled_inputs(config):
        if source.state != "used":
            continue
        if source.config.path is not None:
            hashes[source.name] = _place_hash(source.config.path, source.config.files)
        else:
            hashes[source.name] = f"hub:{source.config.hub}@{source.config.revision or 'newest'}"
    for name, chat in config.chat.sources.items():
        if chat_state(name, chat, config) == "used":
            hashes[f"chat.{name}"] = _place_hash(chat_path(chat), ("*",))
    return hashes


def _place_hash(path: Path, patterns: tuple[str, ...]) -> str:
    total = hashlib.sha256()
    for file, name in list_files(path, patterns):
        total.update(f"{name} {file_hash(file)}\n".encode())
    return total.hexdigest()


def code_hash() -> str:
    """Of the modules and data files of this room and of the shared words."""
    total = hashlib.sha256()
    for room in (Path(__file__).parent, Path(pii.__file__).parent):
        files = sorted(p for p in room.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        for file in files:
            total.update(f"{file.relative_to(room.parent).as_posix()} {file_hash(file)}\n".encode())
    return total.hexdigest()


@dataclass(frozen=True, slots=True)
class Conversation:
    """One row of general chat.

    Attributes:
        language: of the source.
        messages: its turns.
        own: whether it comes with the product.
    """

    language: str
    messages: tuple[codec.Message, ...] = field(repr=False)
    own: bool = False


def read_conversations(config: DataConfig, most: int | None = None) -> list[Conversation]:
    """The chat that the data recipe allows, without answers that hold personal information.

    Args:
        config: names the sources.
        most: conversations of each source; None: all.
    """
    return [
        row
        for name, source in config.chat.sources.items()
        if chat_state(name, source, config) == "used"
        for row in islice(_conversations(source, config.chat.max_chars), most)
    ]


def _conversations(source: ChatSourceConfig, max_chars: int) -> Iterator[Conversation]:
    for row in read_chat(chat_path(source), max_chars):
        if not isinstance(row, Refusal) and not answers_hold_pii(row[2]):
            yield Conversation(source.language, tuple(row[2]), is_own(source))
