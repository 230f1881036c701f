"""A real service in a process of its own, for tests of what only a process can show."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx


@dataclass
class Server:
    """A running `pii serve`; `log` is what it has written so far."""

    process: subprocess.Popen[bytes]
    client: httpx.Client
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def wait_until_ready(self, seconds: float = 300) -> None:
        """Until it can read texts; fails with its log where it ends before."""
        until(lambda: self.client.get("/readyz").status_code == 200, seconds, self)


def until(condition: Callable[[], bool], seconds: float, server: Server) -> None:
    """Wait for a condition, as long as the process lives."""
    end = time.monotonic() + seconds
    while not condition():
        assert server.process.poll() is None, server.log
        assert time.monotonic() < end, server.log
        time.sleep(0.05)


@contextmanager
def serving(folder: Path, *assignments: str, config: Path | None = None, **client: Any) -> Iterator[Server]:
    """`pii serve` on a free port of this machine, with ``a.b=c`` assignments; ended by SIGTERM."""
    options = [word for each in ("http.port=0", *assignments) for word in ("--set", each)]
    options += ["--config", str(config)] if config else []
    log_file = folder / "server.log"
    with log_file.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-m", "pii", "serve", *options], stderr=file)
    try:
        made = Server(process, httpx.Client(), log_file)
        until(lambda: "port " in made.log, 60, made)
        found = re.search(r"port (\d+) \((https?)\)", made.log)
        assert found, made.log
        with httpx.Client(
            base_url=f"{found[2]}://127.0.0.1:{found[1]}", trust_env=False, timeout=120, **client
        ) as made.client:
            yield made
    finally:
        # Unless the test has done so.
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
