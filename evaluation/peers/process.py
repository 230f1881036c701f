"""A peer in a process of its own: this program's side of `evaluation.peers.worker`."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from configs.errors import ConfigError
from evaluation.peers.finding import PeerAbsent, PeerFailure
from evaluation.peers.recipe import AdapterName, LocalPeer

_WORKER = Path(__file__).with_name("worker.py")


def _command(python: Path | None, *words: str) -> list[str]:
    return [str(python or sys.executable), "-I", str(_WORKER), *words]


def installed(name: AdapterName, python: Path | None) -> str:
    """The version of a peer's library in an interpreter; quick, for nothing is imported.

    Raises:
        PeerAbsent: it is not installed there.
        ConfigError: the interpreter does not run.
    """
    try:
        ran = subprocess.run(_command(python, name, "version"), capture_output=True, timeout=60, check=True)
        answer = json.loads(ran.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise ConfigError(f"peer {name}: {python}: does not run ({type(error).__name__})") from None
    if "missing" in answer:
        raise PeerAbsent(f"{answer['missing']} is not installed{f' in {python}' if python else ''}")
    return str(answer["version"])


class Worker:
    """A running adapter.

    Args:
        config: which one, and in which interpreter.
        options: what its constructor takes.

    Raises PeerAbsent: it does not start.
    """

    def __init__(self, config: LocalPeer, options: Mapping[str, Any]) -> None:
        self._config = config
        self._process = subprocess.Popen(
            _command(config.python, config.kind, "serve", json.dumps(dict(options))),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        ready = self._answer()
        if ready is None or "labels" not in ready:
            self._process.kill()
            self._process.wait()
            raise PeerAbsent(_reason(ready))
        self.version: str = ready["version"]
        self.labels: list[str] = ready["labels"]
        self._seconds = 0.0

    def find(self, text: str, language: str) -> list[tuple[int, int, str]]:
        """Ask for one text.

        Raises:
            PeerFailure: the peer raised at this text.
            PeerAbsent: its process has died, or took too long and was ended.
        """
        answer = self._answer({"text": text, "language": language})
        if answer is None:
            raise PeerAbsent("its process has died")
        if "failure" in answer:
            raise PeerFailure(answer["failure"])
        self._seconds += answer["seconds"]
        return [(start, end, label) for start, end, label in answer["found"]]

    def _answer(self, row: Mapping[str, Any] | None = None) -> Any:
        """The next line of the worker, after a row was sent to it; None where it is gone."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._deadline():
            try:
                if row is not None:
                    self._process.stdin.write(json.dumps(row).encode() + b"\n")
                    self._process.stdin.flush()
                line = self._process.stdout.readline()
            except BrokenPipeError:
                return None
        return json.loads(line) if line.endswith(b"\n") else None

    @contextmanager
    def _deadline(self) -> Iterator[None]:
        """End the process where it does not answer in time; the reading then ends too."""
        timer = threading.Timer(self._config.timeout_seconds, self._process.kill)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def close(self) -> Mapping[str, Any]:
        """End the worker; its peak of memory, and the seconds that the peer itself took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
            last = self._process.stdout.readline()
            facts = json.loads(last) if last.endswith(b"\n") else {}
        except (BrokenPipeError, ValueError):
            facts = {}
        self._process.stdout.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        return {"peak_memory_mb": facts.get("peak_memory_mb"), "own_seconds": round(self._seconds, 4)}


def _reason(ready: Mapping[str, Any] | None) -> str:
    if ready is None:
        return "it ended while it started"
    if "missing" in ready:
        return f"{ready['missing']} is not installed"
    return f"it does not start ({ready.get('failure')})"
