"""A process of its own for libraries that a file may bring down: bounded in memory and in processor time.

A parser in C that meets a hostile file may crash, or ask for memory without end, and no exception tells of
it. What it does in another process ends that process alone. This bounds what a file can cost; it is no wall
against code that a file smuggles in, which would run with the rights of the job.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from typing import Any, TypeVar

from pii.errors import RequestError

MAX_MEMORY_BYTES = 2 << 30
"""Address space of the process."""

MAX_SECONDS = 60
"""Processor time of one call, unless it asks for more; see `allow_seconds`."""

Result = TypeVar("Result")


class Isolated:
    """A process that is begun with the first call, kept for the next ones, and begun anew where it ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._owner = 0

    def call(self, function: Callable[..., Result], *given: Any) -> Result:
        """Call a function of a module there.

        Raises RequestError: that of the function; ``too_complex`` where it needs too much memory or time, or
        the process died; ``failed: …`` with the kind of any other exception.
        """
        with self._lock:
            pipe = self._begun()
            try:
                pipe.send((function, given))
                result, reason = pipe.recv()
            except (EOFError, OSError):
                self._end()
                reason = "too_complex"
            except BaseException:
                # An answer that nobody waits for would be taken for that of the next call.
                self._end()
                raise
        if reason:
            raise RequestError(reason, "document", "the document cannot be read or written for sure")
        made: Result = result
        return made

    def _begun(self) -> Connection:
        if self._owner != os.getpid():
            # A fork has the pipe of its parent, and must leave it alone.
            self._pipe = None
        elif self._pipe is not None and self._process is not None and not self._process.is_alive():
            self._end()
        if self._pipe is None:
            spawn = multiprocessing.get_context("spawn")
            self._pipe, other = spawn.Pipe()
            self._process = spawn.Process(target=_serve, args=(other,), daemon=True)
            self._process.start()
            # It ignores SIGTERM, by which multiprocessing would end it, and then wait for it.
            Finalize(None, self._process.kill, exitpriority=10)
            other.close()
            self._owner = os.getpid()
        return self._pipe

    def _end(self) -> None:
        assert self._process is not None
        assert self._pipe is not None
        self._pipe.close()
        self._process.kill()
        self._process.join()
        self._process = self._pipe = None


def allow_seconds(seconds: float) -> None:
    """Let the present call of this process take so much processor time from now on; then the process ends."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


def end_with_parent() -> None:
    """Let this process of multiprocessing end as soon as the one that began it does, however that ends.

    Ctrl-C and a scheduler's SIGTERM reach the whole group, and are left to it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _serve(pipe: Connection) -> None:
    """Answer calls, one after the other."""
    end_with_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    # Libraries in C write to the terminal what they think of a file, and may quote it.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    while True:
        try:
            function, given = pipe.recv()
        except EOFError:
            return
        allow_seconds(MAX_SECONDS)
        pipe.send(_outcome(function, given))


def _outcome(function: Callable[..., object], given: tuple[object, ...]) -> tuple[object, str]:
    """What a function gives and no reason, or nothing and the reason why."""
    try:
        return function(*given), ""
    except RequestError as error:
        return None, error.code
    except MemoryError:
        return None, "too_complex"
    except Exception as error:
        return None, f"failed: {type(error).__name__}"
