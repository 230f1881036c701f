"""Who is let in: the name by which the service was called, the API key, and how often it may ask."""

from __future__ import annotations

import ipaddress
import math
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.keys import KeyRing
from serving.problems import Problem
from serving.rates import Rates
from serving.settings import HttpSettings

OPEN_PATHS = frozenset({"/health", "/healthz", "/readyz"})
"""What anybody may ask, a kubelet with nothing but an address included. All other paths, those that do not
exist included, want a key."""

PAGE_FILES = "/page/"
"""Where the files of the page at ``/`` lie. They are open, and the page asks for a key: a browser cannot send
one with an address."""

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


def is_loopback(address: str) -> bool:
    """Whether an address of a listening socket is reached from this machine alone."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


class Access:
    """Wraps the application. Raises Problem: 400 ``host_not_trusted``, 401 ``no_key``, 429 ``too_often``.

    The name of the key is left in the request's state as ``key``; empty where no keys are configured.

    Args:
        app: what is guarded.
        settings: limits and trusted hosts.
        keys: who may ask; None: everybody.
    """

    def __init__(self, app: ASGIApp, settings: HttpSettings, keys: KeyRing | None) -> None:
        self._app, self._settings, self._keys = app, settings, keys
        self._rates = Rates()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request; other kinds of connection (there are none but the lifespan) pass through."""
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            headers = Headers(scope=scope)
            self._check_host(headers)
            if scope["path"] != "/" and not scope["path"].startswith(PAGE_FILES):
                scope.setdefault("state", {})["key"] = self._check_key(headers)
        await self._app(scope, receive, send)

    def _check_host(self, headers: Headers) -> None:
        trusted = self._settings.trusted_hosts
        if trusted is None:
            return
        name = _without_port(headers.get("host", "")).lower()
        for pattern in trusted:
            if name == pattern.lower() or (pattern.startswith("*.") and name.endswith(pattern[1:].lower())):
                return
        raise Problem(
            HTTPStatus.BAD_REQUEST, "host_not_trusted", "http.trusted_hosts does not name this host", "host"
        )

    def _check_key(self, headers: Headers) -> str:
        limit, name = self._settings.requests_per_minute, ""
        if self._keys is not None:
            entry = self._keys.find(_given(headers))
            if entry is None:
                raise Problem(
                    HTTPStatus.UNAUTHORIZED,
                    "no_key",
                    "send a valid API key",
                    "authorization",
                    {"WWW-Authenticate": "Bearer"},
                )
            limit, name = entry.requests_per_minute or limit, entry.name
        wait_s = self._rates.wait_s(name, limit) if limit else 0.0
        if wait_s:
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too_often",
                f"the limit is {limit} requests a minute",
                headers={"Retry-After": str(math.ceil(wait_s))},
            )
        return name


def _given(headers: Headers) -> str:
    """The key as it was sent: ``Authorization: Bearer KEY``, or ``X-API-Key: KEY``."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")


def _without_port(host: str) -> str:
    # An IPv6 address stands in brackets, with colons of its own.
    return host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]
