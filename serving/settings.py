"""The recipe of the service and of the batch commands: ``configs/<profile>/serve.yaml``."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from configs.reader import StrictConfig
from pii.redaction import Policy
from serving.chat.settings import ChatSettings
from serving.extractor import ExtractorConfig
from serving.scoring import OperatingPoint


class HttpSettings(StrictConfig):
    """Where the service listens and how much it takes on."""

    host: str = "127.0.0.1"
    """Address to listen on. There is no authentication: put a proxy that has it before any other address."""
    port: int = Field(default=8000, ge=0, le=65535)
    """TCP port; 0 takes a free one and says which."""
    max_body_bytes: int = Field(default=8_000_000, gt=0)
    """Largest request body; counted while it arrives, so that a larger one is never held in memory."""
    max_texts: int = Field(default=256, gt=0)
    """Most texts in one request."""
    max_requests: int = Field(default=256, gt=0)
    """Requests that may wait or be worked on; further ones get 503 with ``Retry-After``."""
    deadline_s: float = Field(default=120.0, gt=0)
    """Longest time for one request, in seconds; then its work is cancelled and it gets 503."""
    restore: bool = False
    """Whether `/restore` opens sealed tokens. Whoever may ask for it can read what others sealed."""


class ServeConfig(StrictConfig):
    """Everything about extraction in operation."""

    extractor: ExtractorConfig = ExtractorConfig()
    """How texts are read."""
    redaction: Policy = Policy()
    """What `/redact` and ``pii redact`` put in place of an entity."""
    redaction_key_file: Path | None = None
    """File with the key of operators that need one; null: the variable ``PII_REDACTION_KEY``, if set."""
    redaction_point: OperatingPoint = "recall"
    """Which threshold of the model's scores redaction uses where nobody says another: to hide too much is
    better than too little. What the patterns find is hidden at any."""
    chat: ChatSettings = ChatSettings()
    """The guard before another server: `/v1/chat/completions`."""
    http: HttpSettings = HttpSettings()
    """The service."""
    shard_rows: int = Field(default=1000, gt=0)
    """Rows of a batch job that are finished together: what a killed job repeats at most."""
