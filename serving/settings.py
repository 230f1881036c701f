"""The recipe of the service and of the batch commands: ``configs/<profile>/serve.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from configs.reader import StrictConfig
from pii.redaction import Policy
from serving.chat.settings import ChatSettings
from serving.extractor_config import ExtractorConfig
from serving.scoring import OperatingPoint


class JobSettings(StrictConfig):
    """Batch jobs over HTTP (`POST /jobs`). Off where no root is named."""

    roots: tuple[Path, ...] = ()
    """Folders below which jobs may read and write; whoever reaches the service can do so."""
    folder: Path = Path("runs/jobs")
    """Where the service keeps what was asked for, so that it goes on after a restart."""
    max_open: int = Field(default=100, gt=0)
    """Jobs that may wait; further ones are refused."""


class HttpSettings(StrictConfig):
    """Where the service listens, whom it answers and how much it takes on."""

    host: str = "127.0.0.1"
    """Address to listen on. Any but this machine's own needs `api_keys_file`."""
    port: int = Field(default=8000, ge=0, le=65535)
    """TCP port; 0 takes a free one and says which."""
    tls_certificate: Path | None = None
    """PEM file with the certificate chain; with it and `tls_key` the service speaks HTTPS."""
    tls_key: Path | None = None
    """PEM file with the certificate's private key."""
    api_keys_file: Path | None = None
    """Who may ask (``pii keys add`` writes it); read again when it changes. null: everybody who reaches
    it."""
    requests_per_minute: int | None = Field(default=None, gt=0)
    """Most requests of one API key (of all together where there are no keys); further ones get 429 with
    ``Retry-After``. A sixth of it may come at once. A key's own limit comes first; null: no limit."""
    trusted_hosts: tuple[str, ...] | None = None
    """Names that the ``Host`` header may have; ``*.example.com`` takes subdomains. null: any, but for a
    service that listens on this machine's own address: only its names, so that no web page can reach it by
    another."""
    max_body_bytes: int = Field(default=8_000_000, gt=0)
    """Largest request body; counted while it arrives, so that a larger one is never held in memory."""
    max_texts: int = Field(default=256, gt=0)
    """Most texts in one request."""
    max_windows: int = Field(default=4096, gt=0)
    """Most windows that one request may ask the model about; more is 413."""
    max_requests: int = Field(default=256, gt=0)
    """Requests that may wait or be worked on; further ones get 503 with ``Retry-After``."""
    deadline_s: float = Field(default=120.0, gt=0)
    """Longest time for one request, in seconds; then its work is cancelled and it gets 503."""
    jobs: JobSettings = JobSettings()
    """Batch jobs on files of this machine."""
    restore: bool = False
    """Whether `/restore` opens sealed tokens. Whoever may ask for it can read what others sealed."""
    drain_delay_s: float = Field(default=0.0, ge=0)
    """After a signal to end: how long new requests are still answered while ``/readyz`` is already false, so
    that a load balancer can notice, in seconds."""
    drain_s: float = Field(default=30.0, gt=0)
    """Longest time that requests under way may then take to end, in seconds."""

    @model_validator(mode="after")
    def _has_both_halves(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        return self


class TelemetrySettings(StrictConfig):
    """What the service says of itself; never any text."""

    log_format: Literal["text", "json"] = "text"
    """Log lines for people, or one JSON object a line."""
    traces_endpoint: str | None = None
    """Where OpenTelemetry traces are sent (OTLP over HTTP), such as ``http://collector:4318/v1/traces``;
    null: nowhere."""
    audit_file: Path | None = None
    """Log of what was found for whom: counts by type, each line signed in a chain. null: none."""
    audit_key_file: Path | None = None
    """File with the key that signs it; null: the environment variable ``PII_AUDIT_KEY``."""


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
    telemetry: TelemetrySettings = TelemetrySettings()
    """What the service says of itself."""
    shard_rows: int = Field(default=1000, gt=0)
    """Rows of a batch job that are finished together: what a killed job repeats at most."""
