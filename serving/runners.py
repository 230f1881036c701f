"""Who does the work of a job on one machine: this process, or worker processes beside it.

With a model, this process keeps the engine's queue full across pieces, and workers write what was found. With
patterns alone, workers do all of it. Shards come in the order of the pieces either way.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from serving.engines.protocol import EngineError
from serving.extractor import Extractor
from serving.files.isolation import end_with_parent
from serving.files.records import Record
from serving.source import Piece, Pieces
from serving.work import Seen, Shard, Work

MAX_FAILURES = 10
"""So many failures in succession are no longer the rows' fault: the job stops, to go on later."""

FEW_BYTES = 4 << 20
"""Less input than this is done before worker processes have begun."""

_AHEAD = 2
"""Pieces for each worker that wait or are worked on: nobody is idle, and memory stays bounded."""


Given = TypeVar("Given")


class WorkerError(EngineError):
    """A worker process died, or memory for it ran out. The same command goes on."""


class Runner(Protocol):
    """Makes shards of pieces, in their order."""

    def shards(self, pieces: Pieces, stopped: Callable[[], bool]) -> Iterator[Shard]:
        """A shard for each piece, until somebody asks for an end; what was begun by then is finished.

        Raises EngineError where going on is of no use.
        """


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


class Local:
    """One machine.

    Args:
        work: the job.
        extractor: looks through the texts.
        num_workers: worker processes; 0: none, this process does everything.
    """

    def __init__(self, work: Work, extractor: Extractor, num_workers: int) -> None:
        self._work, self._extractor, self._num_workers = work, extractor, num_workers

    def shards(self, pieces: Pieces, stopped: Callable[[], bool]) -> Iterator[Shard]:
        """A shard for each piece. Raises EngineError, WorkerError."""
        given = pieces.every(stopped)
        with ExitStack() as stack:
            hands: Hands = Own(self._work, self._extractor)
            if self._num_workers:
                hands = stack.enter_context(Workers(self._work, self._num_workers))
            if self._extractor.config.detectors == "patterns":
                yield from hands.whole(given)
            else:
                yield from hands.finished(_looked_through(self._work, self._extractor, given))


@dataclass(slots=True)
class Looked:
    """A piece whose texts were looked through."""

    piece: Piece
    records: list[Record] = field(repr=False)
    num_texts: int
    found: list[Seen] = field(default_factory=list, repr=False)


def _looked_through(work: Work, extractor: Extractor, pieces: Iterator[Piece]) -> Iterator[Looked]:
    """Pieces in order with what was found; the engine reads on into the next ones meanwhile."""
    waiting: deque[Looked] = deque()

    def texts() -> Iterator[str]:
        for piece in pieces:
            records = work.read(piece, extractor.check_text)
            of_piece = list(work.texts(records))
            waiting.append(Looked(piece, records, len(of_piece)))
            yield from of_piece

    num_failures = 0
    for seen in work.extractions(texts(), extractor):
        num_failures = num_failures + 1 if seen.failure else 0
        if num_failures == MAX_FAILURES:
            raise EngineError(f"{MAX_FAILURES} rows in succession failed")
        while not waiting[0].num_texts:
            yield waiting.popleft()
        waiting[0].found.append(seen)
        if len(waiting[0].found) == waiting[0].num_texts:
            yield waiting.popleft()
    yield from waiting


class Hands(Protocol):
    """Who does what needs no model."""

    def whole(self, pieces: Iterator[Piece]) -> Iterator[Shard]:
        """Read, look by patterns, write."""

    def finished(self, looked: Iterator[Looked]) -> Iterator[Shard]:
        """Write what was found."""


class Own:
    """This process."""

    def __init__(self, work: Work, extractor: Extractor) -> None:
        self._work, self._extractor = work, extractor

    def whole(self, pieces: Iterator[Piece]) -> Iterator[Shard]:
        """One after the other."""
        for piece in pieces:
            yield self._work.whole(piece, self._extractor)

    def finished(self, looked: Iterator[Looked]) -> Iterator[Shard]:
        """One after the other."""
        for one in looked:
            yield self._work.finished(one.piece, one.records, one.found)


class Workers:
    """Worker processes. They begin afresh (a fork would copy the engine's threads in mid-step)."""

    def __init__(self, work: Work, num_workers: int) -> None:
        self._most = _AHEAD * num_workers
        self._pool = ProcessPoolExecutor(
            num_workers, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(work,)
        )

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def whole(self, pieces: Iterator[Piece]) -> Iterator[Shard]:
        """Several at a time."""
        return self._ordered(lambda piece: self._pool.submit(_whole, piece), pieces)

    def finished(self, looked: Iterator[Looked]) -> Iterator[Shard]:
        """Several at a time."""
        return self._ordered(lambda one: self._pool.submit(_finished, one), looked)

    def _ordered(self, submit: Callable[[Given], Future[Shard]], given: Iterator[Given]) -> Iterator[Shard]:
        under_way: deque[Future[Shard]] = deque()
        try:
            for one in given:
                under_way.append(submit(one))
                while under_way and (len(under_way) >= self._most or under_way[0].done()):
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        except BrokenProcessPool:
            raise WorkerError("a worker process died") from None


_work: Work
_extractor: Extractor


def _begin(work: Work) -> None:
    """Make a worker process ready."""
    global _work, _extractor
    # The job decides when its workers end; one that is killed leaves none behind.
    end_with_parent()
    patterns = work.config.model_copy(update={"detectors": "patterns"})
    _work, _extractor = work, Extractor.open(patterns)


def _whole(piece: Piece) -> Shard:
    return _work.whole(piece, _extractor)


def _finished(one: Looked) -> Shard:
    return _work.finished(one.piece, one.records, one.found)
