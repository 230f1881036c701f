"""An ordered map over processes that runs no further ahead of its reader than it must.

The order of results is the order of tasks, whatever the number of processes: same bytes with one and many.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from typing import Any, Self, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

AHEAD = 3
"""Tasks in flight for each process and stream."""


class Workers:
    """Processes that share a set-up; one process means this one.

    Args:
        count: how many; 0: one for each core that this process may use.
        initialise: called once in every process before its first task, with `arguments`.
        arguments: what `initialise` is called with; sent to each process once.
    """

    def __init__(self, count: int, initialise: Callable[..., None], *arguments: Any) -> None:
        self.count = count or len(os.sched_getaffinity(0))
        self._executor: Executor | None = None
        if self.count == 1:
            initialise(*arguments)
        else:
            # Spawned, not forked: the parent may hold threads of libraries.
            self._executor = ProcessPoolExecutor(
                self.count, multiprocessing.get_context("spawn"), _begin, (initialise, *arguments)
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)

    def map(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """Results in the order of the tasks, which may be endless: they are read as results are taken."""
        if self._executor is None:
            yield from map(function, tasks)
            return
        waiting: deque[Future[Result]] = deque()
        for task in tasks:
            waiting.append(self._executor.submit(function, task))
            if len(waiting) >= AHEAD * self.count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _begin(initialise: Callable[..., None], *arguments: Any) -> None:
    """Set a process up: it leaves Ctrl-C to its parent, and ends when the parent ends, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    initialise(*arguments)
