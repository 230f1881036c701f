"""A detector behind HTTP in the shape of Presidio's analyzer.

Source of the shape: https://microsoft.github.io/presidio/api-docs/api-docs.html
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from configs.errors import ConfigError
from evaluation.peers.finding import PeerAbsent, PeerFailure
from evaluation.peers.recipe import HttpPeer


def key_of(variable: str | None) -> dict[str, str]:
    """The header with a service's key. Raises ConfigError: the variable is not set."""
    if variable is None:
        return {}
    if not os.environ.get(variable):
        raise ConfigError(f"the environment variable {variable} is not set")
    return {"authorization": f"Bearer {os.environ[variable]}"}


class HttpDetector:
    """Posts each text.

    Args:
        config: where and how.
        labels: what it may say; the service does not tell, so these are the label map's.

    Raises PeerAbsent: nobody answers there.
    """

    version = ""

    def __init__(self, config: HttpPeer, labels: Sequence[str]) -> None:
        self._config, self.labels = config, list(labels)
        self._client = httpx.Client(timeout=config.timeout_seconds, headers=key_of(config.key_variable))
        try:
            self.find("test", "en")
        except PeerFailure as error:
            self._client.close()
            raise PeerAbsent(f"{config.url} answers with {error}") from None
        except PeerAbsent:
            self._client.close()
            raise

    def find(self, text: str, language: str) -> list[tuple[int, int, str]]:
        """Ask for one text. Raises PeerFailure: another status or shape; PeerAbsent: nobody answers."""
        body = {"text": text, "language": self._config.language or language, **self._config.body}
        try:
            answer = self._client.post(self._config.url, json=body)
        except httpx.TimeoutException:
            raise PeerFailure("timeout") from None
        except httpx.HTTPError as error:
            raise PeerAbsent(f"{self._config.url}: {type(error).__name__}") from None
        if answer.status_code != httpx.codes.OK:
            raise PeerFailure(f"status {answer.status_code}")
        try:
            return [(int(r["start"]), int(r["end"]), str(r["entity_type"])) for r in answer.json()]
        except (ValueError, KeyError, TypeError):
            raise PeerFailure("an answer of another shape") from None

    def close(self) -> Mapping[str, Any]:
        """Close the connection; a service does not tell its memory."""
        self._client.close()
        return {"peak_memory_mb": None}
