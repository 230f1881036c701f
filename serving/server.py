"""``pii serve``: POST /extract and /redact over HTTP.

    pii serve --config configs/mini/serve.yaml
    curl -s localhost:8000/extract -H 'content-type: application/json' -d '{"text": "..."}'

It listens at once and loads the model meanwhile; /readyz says when texts can be read. SIGTERM drains and
ends, SIGHUP reads the recipe again and changes to its model.
"""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from configs import command
from configs.errors import ConfigError, UserError
from pii.model_folder import read_manifest
from serving.access import LOOPBACK_NAMES, is_loopback
from serving.app import create_app
from serving.logs import write_json
from serving.service import Service
from serving.settings import HttpSettings, ServeConfig
from serving.silence import describe, quieten

logger = logging.getLogger(__name__)


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ConfigError where the address is not to be had."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(f"http.host, http.port: cannot listen ({error.strerror})") from None


class _Server(uvicorn.Server):
    """Ends in two steps (no longer ready, then no longer there) and takes SIGHUP for another model.

    Args:
        config: uvicorn's.
        service: what it serves.
        read_config: reads the recipe anew. May raise UserError.
    """

    def __init__(
        self, config: uvicorn.Config, service: Service, read_config: Callable[[], ServeConfig]
    ) -> None:
        super().__init__(config)
        self._service, self._read_config = service, read_config
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reloading: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            self._loop.add_signal_handler(signal.SIGHUP, self._on_hangup)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        supervisor, delay_s = self._service.supervisor, self._service.config.http.drain_delay_s
        if supervisor.is_draining or not delay_s or self._loop is None:
            supervisor.is_draining = True
            super().handle_exit(sig, frame)
            return
        supervisor.is_draining = True
        self._loop.call_soon_threadsafe(self._loop.call_later, delay_s, super().handle_exit, sig, frame)

    def _on_hangup(self) -> None:
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.create_task(self._reload())

    async def _reload(self) -> None:
        try:
            config = await asyncio.to_thread(self._read_config)
        except UserError as error:
            logger.error("the model stays as it was: %s", error)
            return
        await self._service.reload(config.extractor)


def _check_exposure(config: ServeConfig, address: str) -> ServeConfig:
    """A service without keys is for this machine alone, and for no web page that a browser on it shows.

    Raises ConfigError: it listens on another address, without keys.
    """
    if not is_loopback(address):
        if config.http.api_keys_file is None:
            raise ConfigError(
                "http.api_keys_file: required where other machines can reach the service; `pii keys add NAME`"
            )
        return config
    if config.http.trusted_hosts is not None:
        return config
    http = config.http.model_copy(update={"trusted_hosts": LOOPBACK_NAMES})
    return config.model_copy(update={"http": http})


def _serve(config: ServeConfig, read_config: Callable[[], ServeConfig]) -> int:
    extractor, http = config.extractor, config.http
    if extractor.detectors != "patterns" and extractor.model is not None:
        # The commonest mistake, found before a port is opened.
        read_manifest(extractor.model)
    with _listen(http.host, http.port) as listener:
        address = listener.getsockname()
        app = create_app(_check_exposure(config, address[0]))
        service: Service = app.state.service
        server = _Server(_uvicorn_config(app, http), service, read_config)

        def stop() -> None:
            server.should_exit = True

        service.on_failure = stop
        scheme = "https" if http.tls_certificate else "http"
        logger.info("listening on %s port %d (%s)", address[0], address[1], scheme)
        server.run(sockets=[listener])
    if service.failure is None:
        return 0
    if isinstance(service.failure, UserError):
        raise service.failure
    logger.error("the model could not be loaded: %s", describe(service.failure))
    return 1


def _uvicorn_config(app: FastAPI, http: HttpSettings) -> uvicorn.Config:
    """Raises ConfigError: certificate or key cannot be used."""
    config = uvicorn.Config(
        app,
        log_config=None,
        # It holds paths and query strings: `Guard` writes one without.
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(http.drain_s),
        ssl_certfile=http.tls_certificate,
        ssl_keyfile=http.tls_key,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"http.tls_certificate, http.tls_key: cannot be used ({error.strerror})") from None
    return config


def main(argv: list[str] | None = None) -> int:
    """Serve until a signal ends it; returns 0, or 2 where the configuration or the model cannot be used."""
    parser = command.parser("pii serve", "Answer POST /extract and /redact over HTTP.", "mini/serve.yaml")
    arguments = parser.parse_args(argv)

    def body() -> int:
        config = command.config_of(arguments, ServeConfig)
        quieten()
        if config.telemetry.log_format == "json":
            write_json()
        return _serve(config, lambda: command.config_of(arguments, ServeConfig))

    return command.run(body)


if __name__ == "__main__":
    sys.exit(main())
