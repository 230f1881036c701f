"""The recipe's part about the guard: which server stands behind it, and what it may be shown."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from configs.reader import StrictConfig


class ChatSettings(StrictConfig):
    """`/v1/chat/completions`."""

    upstream: str | None = Field(default=None, pattern=r"^https?://[^\s]+$")
    """Base address of an OpenAI-compatible server, such as ``https://api.openai.com/v1``; null: no guard."""
    upstream_key_file: Path | None = None
    """File with the upstream's key. Null: the client's Authorization header is handed on, unless this service
    has API keys of its own: then it is one of those."""
    types: list[str] | None = None
    """Entity types that are hidden from the upstream; null: the default ones."""
    timeout_s: float = Field(default=600.0, gt=0)
    """Longest silence of the upstream, in seconds."""
    on_unreadable: Literal["refuse", "pass"] = "refuse"
    """What to do with what no detector can read: images, sound, files; and with parts of a text for which the
    model's answer did not fit."""
    note: str = ""
    """Added to the system message of a chat that has placeholders, such as ``Repeat marks like
    [PERSON_NAME_1] as they stand.`` Empty: nothing is added."""
