"""``pii serve``: POST /extract and /redact over HTTP.

    pii serve --config configs/mini/serve.yaml
    curl -s localhost:8000/extract -H 'content-type: application/json' -d '{"text": "..."}'

It listens at once and loads the model meanwhile; /readyz says when texts can be read.
"""

from __future__ import annotations

import logging
import socket
import sys
from typing import TYPE_CHECKING

from configs import command
from configs.errors import ConfigError, UserError
from pii.model_folder import read_manifest
from serving.app import create_app
from serving.service import Service
from serving.settings import ServeConfig
from serving.silence import describe, quieten

if TYPE_CHECKING:
    import uvicorn

logger = logging.getLogger(__name__)


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ConfigError where the address is not to be had."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(f"http.host, http.port: cannot listen ({error.strerror})") from None


def _serve(config: ServeConfig) -> int:
    import uvicorn

    extractor = config.extractor
    if extractor.detectors != "patterns" and extractor.model is not None:
        # The commonest mistake, found before a port is opened.
        read_manifest(extractor.model)
    listener = _listen(config.http.host, config.http.port)
    app = create_app(config)
    # The access log of the server holds paths and query strings: `Guard` writes one without.
    server = uvicorn.Server(
        uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=30
        )
    )
    service: Service = app.state.service
    service.on_failure = lambda: _stop(server)
    address = listener.getsockname()
    logger.info("listening on %s port %d", address[0], address[1])
    if address[0] not in ("127.0.0.1", "::1"):
        logger.warning("open to other machines, without authentication")
    with listener:
        server.run(sockets=[listener])
    if service.failure is None:
        return 0
    if isinstance(service.failure, UserError):
        raise service.failure
    logger.error("the model could not be loaded: %s", describe(service.failure))
    return 1


def _stop(server: uvicorn.Server) -> None:
    server.should_exit = True


def main(argv: list[str] | None = None) -> int:
    """Serve until a signal ends it; returns 0, or 2 where the configuration or the model cannot be used."""
    parser = command.parser("pii serve", "Answer POST /extract and /redact over HTTP.", "mini/serve.yaml")
    arguments = parser.parse_args(argv)

    def body() -> int:
        quieten()
        return _serve(command.config_of(arguments, ServeConfig))

    return command.run(body)


if __name__ == "__main__":
    sys.exit(main())
