"""Where a build's processes run: on this machine, or on a Ray cluster through Ray Data.

The build itself stays one: it reads, decides and writes in order, and asks an engine for prepared documents.
Both engines give results in the order of the tasks, so both give the same bytes.

On Ray, tasks go out in rounds, each a data set of one block a task; while one round's results are written the
next is prepared. ``RAY_ADDRESS`` names a cluster; without it Ray starts on this machine. Every machine needs
this very version of the product, which is checked.
"""

from __future__ import annotations

import itertools
import logging
import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self, TypeVar

from configs.errors import StageError, UserError
from data_pipeline import preparation
from data_pipeline.dedup import HeldOut
from data_pipeline.inputs import code_hash
from data_pipeline.parallel import Workers
from data_pipeline.recipe import DataConfig

Task = TypeVar("Task")
Result = TypeVar("Result")

ROUND = 64
"""Most tasks of a round for each process of the cluster; the first rounds are smaller, since a short build
throws away what a round prepared too much."""


class RayWorkers:
    """Ray Data under the interface of `parallel.Workers`.

    Args:
        count: most processes at a time; 0: as many as the cluster has cores.
        initialise: called once in every process before its first task, with `arguments`.
        arguments: what `initialise` is called with; stored once in the cluster.
    """

    def __init__(self, count: int, initialise: Callable[..., None], *arguments: Any) -> None:
        import ray

        # Nothing leaves the machines: Ray's usage report is off unless somebody turned it on.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if not ray.is_initialized():  # and it stays so until the process ends: starting takes seconds
            ray.init(include_dashboard=False, logging_level=logging.WARNING)
        self._ahead: list[ThreadPoolExecutor] = []
        self.count = count or max(1, int(ray.cluster_resources().get("CPU", 1)))
        setup = pickle.dumps((code_hash(), initialise, arguments))
        self._setup = ray.put(setup)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for ahead in self._ahead:
            ahead.shutdown(cancel_futures=True)

    def map(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """Results in the order of the tasks, which may be endless: they are read a round ahead.

        Raises UserError: a task did, or a machine of the cluster holds another version of the code.
        """
        iterator, size = iter(tasks), self.count
        ahead = ThreadPoolExecutor(1)
        self._ahead.append(ahead)
        waiting: Future[list[bytes]] | None = None
        while True:
            # Tasks are drawn here and not in the thread: they may be read from a file that others read too.
            batch = [pickle.dumps((function, task)) for task in itertools.islice(iterator, size)]
            following = ahead.submit(self._round, batch) if batch else None
            if waiting is not None:
                for result in waiting.result():
                    yield from _results(result)
            if following is None:
                return
            waiting, size = following, min(2 * size, ROUND * self.count)

    def _round(self, tasks: Sequence[bytes]) -> list[bytes]:
        """Run one round; pickled results in the order of the tasks."""
        import ray.data

        logging.getLogger("ray.data").setLevel(logging.WARNING)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = True
        data = ray.data.from_items([{"task": task} for task in tasks], override_num_blocks=len(tasks))
        done = data.map_batches(
            _run,
            batch_size=None,
            fn_kwargs={"setup": [self._setup]},
            compute=ray.data.TaskPoolStrategy(size=min(self.count, len(tasks))),
        )
        return [row["result"] for row in done.iter_rows()]


def _results(pickled: bytes) -> Iterator[Any]:
    ok, value = pickle.loads(pickled)
    if not ok:
        raise value
    yield value


_ready: Any = None
"""The set-up that this process of the cluster was given last."""


def _run(batch: dict[str, Any], setup: list[Any]) -> dict[str, list[bytes]]:
    """Run the tasks of a block in a process of the cluster, which is set up before its first one."""
    global _ready
    try:
        if _ready != setup[0]:
            import ray

            code, initialise, arguments = pickle.loads(ray.get(setup[0]))
            if code != code_hash():
                raise StageError("a machine of the cluster has another version of the product installed")
            initialise(*arguments)
            _ready = setup[0]
        loaded = (pickle.loads(task) for task in batch["task"])
        return {"result": [pickle.dumps((True, function(task))) for function, task in loaded]}
    except UserError as error:  # as a result: Ray would wrap it, and log what it wraps
        return {"result": [pickle.dumps((False, error))]}


Engine = Workers | RayWorkers


def engine(config: DataConfig, held_out: HeldOut) -> Engine:
    """The processes that a recipe asks for, set up with it and with what training must not hold."""
    kind = RayWorkers if config.engine == "ray" else Workers
    return kind(config.workers, preparation.initialise, config, held_out)
