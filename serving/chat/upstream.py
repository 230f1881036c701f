"""The server behind the guard, spoken to over HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import httpx

from configs.errors import ConfigError
from serving.chat.settings import ChatSettings
from serving.problems import Problem

_HANDED_ON = ("openai-organization", "openai-project", "openai-beta")
"""Headers of the client that the upstream gets besides its authorization."""


class Upstream:
    """An OpenAI-compatible server.

    Args:
        settings: where it is, and its key.
        hands_on_key: whether it gets the client's Authorization header, where the recipe has no key.

    Raises ConfigError: its key cannot be read.
    """

    def __init__(self, settings: ChatSettings, *, hands_on_key: bool) -> None:
        self._hands_on_key = hands_on_key
        self._base = (settings.upstream or "").rstrip("/")
        self._timeout = httpx.Timeout(settings.timeout_s, connect=10.0)
        self._key: str | None = None
        if settings.upstream_key_file is not None:
            try:
                self._key = settings.upstream_key_file.read_text(encoding="ascii").strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = f"the key cannot be read ({type(error).__name__})"
                raise ConfigError(f"{settings.upstream_key_file}: {reason}") from None
        self._client: httpx.AsyncClient | None = None

    async def close(self) -> None:
        """Close the connections that are kept open."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def send(
        self, method: str, path: str, headers: Mapping[str, str], body: Any = None
    ) -> httpx.Response:
        """Send a request; the answer's body is still to be read, and the answer to be closed.

        Raises Problem: 502 ``upstream_unreachable``, 504 ``upstream_timeout``.
        """
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=self._timeout)
        content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        request = self._client.build_request(
            method, f"{self._base}{path}", headers=self._headers(headers), content=content
        )
        try:
            return await self._client.send(request, stream=True)
        except httpx.TimeoutException:
            raise _late() from None
        except httpx.HTTPError:
            raise _unreachable() from None

    def _headers(self, client: Mapping[str, str]) -> dict[str, str]:
        headers = {name: client[name] for name in _HANDED_ON if name in client}
        headers["content-type"] = "application/json"
        if self._key is not None:
            headers["authorization"] = f"Bearer {self._key}"
        elif self._hands_on_key and "authorization" in client:
            headers["authorization"] = client["authorization"]
        return headers


async def read(answer: httpx.Response) -> Any:
    """The whole answer as JSON; closes it. Raises Problem as `send` does, and 502 ``upstream_not_json``."""
    try:
        content = await answer.aread()
    except httpx.TimeoutException:
        raise _late() from None
    except httpx.HTTPError:
        raise _unreachable() from None
    finally:
        await answer.aclose()
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise Problem(
            HTTPStatus.BAD_GATEWAY,
            "upstream_not_json",
            f"the upstream answered {answer.status_code} without JSON",
        ) from None


def _late() -> Problem:
    return Problem(HTTPStatus.GATEWAY_TIMEOUT, "upstream_timeout", "the upstream did not answer in time")


def _unreachable() -> Problem:
    return Problem(
        HTTPStatus.BAD_GATEWAY, "upstream_unreachable", "the upstream cannot be reached, or it broke off"
    )
