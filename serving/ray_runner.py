"""The same job on a Ray cluster (Ray Data): one reading task for each input, an actor for each worker.

Reading tasks cut the inputs as they do on one machine, actors hold an extractor each and work on whole
pieces, and shards come back in the order of the pieces. The job itself, with its sink, stays where the
command was given: so results and manifest are those of a job on one machine. A worker that dies is started
anew by Ray, and its piece is worked on once more.

Inputs have to be where every node can read them: a shared folder, or an address such as ``s3://…``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
from collections.abc import Callable, Iterator
from typing import Any, cast

from configs.errors import UserError
from serving.extractor import Extractor
from serving.files.addresses import STANDARD
from serving.runners import WorkerError
from serving.silence import describe
from serving.source import Pieces
from serving.work import Shard, Work

logger = logging.getLogger(__name__)

PIECE, SHARD = "piece", "shard"
"""Names of the one column that travels, as bytes."""

_READING = 0.05
"""The part of a core that a reading task is said to need: it waits for its workers most of the time."""


class OnRay:
    """A Ray cluster: the one that ``RAY_ADDRESS`` names, otherwise one on this machine.

    Args:
        work: the job.
        num_workers: actors; None: one for each core of the cluster, with a model one for each GPU.
    """

    def __init__(self, work: Work, num_workers: int | None) -> None:
        self._work, self._num_workers = work, num_workers

    def shards(self, pieces: Pieces, stopped: Callable[[], bool]) -> Iterator[Shard]:
        """A shard for each piece. Raises UserError without Ray, WorkerError where a worker fails for good."""
        if any(one.address == STANDARD for one in pieces.inputs):
            raise UserError("--runner ray: standard input is read by nobody else; name a file")
        ray = _started()
        try:
            for row in self._dataset(ray, pieces).iter_rows():
                yield cast(Shard, pickle.loads(row[SHARD]))
                if stopped():
                    return
        except ray.exceptions.RayError as error:
            raise WorkerError(f"Ray: {type(error).__name__}") from None

    def _dataset(self, ray: Any, pieces: Pieces) -> Any:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = True
        # Every piece travels alone; joined to larger blocks they would wait for one worker.
        context.target_max_block_size = 1
        resources = ray.cluster_resources()
        num_cores, num_gpus = resources.get("CPU", 1), int(resources.get("GPU", 0))
        on_gpu = num_gpus and self._work.config.detectors != "patterns"
        num_actors = self._num_workers or int(num_gpus if on_gpu else num_cores)
        read = ray.data.read_datasource(
            _source(ray, pieces),
            override_num_blocks=len(pieces.inputs),
            num_cpus=_READING,
        )
        return read.map_batches(
            # The job travels with the class: arguments would be lost with the node that holds them.
            type("Worker", (_Actor,), {"work": pickle.dumps(self._work)}),
            batch_size=1,
            batch_format="pyarrow",
            zero_copy_batch=True,
            compute=ray.data.ActorPoolStrategy(size=num_actors),
            # A little of every core is left for reading: with none, actors wait for pieces for ever.
            num_cpus=0 if on_gpu else min(1.0, (num_cores - 2 * _READING) / num_actors),
            num_gpus=1 if on_gpu else 0,
        )


def _started() -> Any:
    """Ray, connected. Raises UserError where it is not installed or its cluster is not there."""
    # Nothing is sent to Ray's makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ModuleNotFoundError:
        raise UserError("--runner ray: Ray is not installed; install the extra distributed") from None
    if not ray.is_initialized():
        try:
            # What workers print would come out here, and may quote a row.
            ray.init(log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
        except ConnectionError:
            raise UserError("--runner ray: no cluster at RAY_ADDRESS") from None
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray


def _source(ray: Any, pieces: Pieces) -> Any:
    """The pieces as a source of Ray Data: one reading task for each input that is not done."""
    from ray.data.block import BlockMetadata

    class Source(ray.data.Datasource):  # type: ignore[misc]
        """Cuts inputs where they are read, piece by piece."""

        def estimate_inmemory_data_size(self) -> int:
            return sum(one.size for one in pieces.inputs)

        def get_read_tasks(self, parallelism: int, *_: object, **__: object) -> list[Any]:
            return [
                ray.data.ReadTask(
                    _reading(pieces, file),
                    BlockMetadata(
                        num_rows=None, size_bytes=pieces.inputs[file].size, exec_stats=None, input_files=None
                    ),
                )
                for file, position in enumerate(pieces.positions)
                if position is not None
            ]

    return Source()


def _reading(pieces: Pieces, file: int) -> Callable[[], Iterator[Any]]:
    def read() -> Iterator[Any]:
        for piece in pieces.of(file):
            yield _table(PIECE, pickle.dumps(piece))

    return read


def _table(name: str, content: bytes) -> Any:
    import pyarrow as pa

    return pa.table({name: pa.array([content], pa.large_binary())})


class _Actor:
    """One worker: an extractor that stays, and pieces that come and go."""

    work = b""
    """The job, pickled."""

    def __init__(self) -> None:
        self._work: Work = pickle.loads(self.work)
        self._extractor = Extractor.open(self._work.config)

    def __call__(self, batch: Any) -> Any:
        (piece,) = batch.column(PIECE).to_pylist()
        failed = None
        with contextlib.suppress(MemoryError):
            try:
                return _table(SHARD, pickle.dumps(self._work.whole(pickle.loads(piece), self._extractor)))
            except Exception as error:
                # Ray prints messages of exceptions, which may quote a row.
                failed = describe(error)
        raise RuntimeError(failed or "out of memory")
