"""What ``pii extract`` and ``pii redact`` share: options, and a job from its inputs to its results.

    inputs → pieces → runner (look, write) → shards → sink → results, bad rows, manifest

Exit codes: 0 done; 1 the engine or a worker failed, or there are too many bad rows; 2 something to mend; 3
done, and there were bad rows; 130 stopped by a signal. After 1, 2 and 130 the same command goes on where the
job stands.
"""

from __future__ import annotations

import hashlib
import logging
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from configs import command
from configs.atomic import writing
from configs.errors import ConfigError, UserError
from configs.reader import dump
from configs.stage import file_hash
from pii import codec, model_folder
from pii.errors import RequestError
from serving import columns, progress, runners, source, summary
from serving.engines.protocol import EngineError
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from serving.files.addresses import STANDARD, is_remote
from serving.files.choice import Options
from serving.runners import Runner
from serving.settings import HttpSettings, ServeConfig
from serving.silence import describe, quieten, trace
from serving.sinks import FileSink, Places, Sink, StreamSink
from serving.source import Input, Pieces
from serving.work import Work

logger = logging.getLogger(__name__)

Finish = Callable[[Places, Sequence[Input], Mapping[str, int], Mapping[str, str]], None]
"""Called when the results are there, with the job's counts and with what the job consisted of."""

RunnerName = Literal["local", "ray"]
Shown = progress.Progress


class TooManyBadRowsError(Exception):
    """More bad rows than the user allows."""


class StoppedError(Exception):
    """Somebody asked for an end; what was begun is finished and kept."""


class Stop:
    """Whether somebody asked for an end, which the job looks for before it begins another piece."""

    def __init__(self) -> None:
        self.requested = False

    def request(self, *_: object) -> None:
        """End soon. As a signal's handler: the second signal ends at once."""
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def __call__(self) -> bool:
        """Whether to end."""
        return self.requested


@dataclass(frozen=True)
class Job:
    """One batch command, its options read.

    Attributes:
        name: ``extract`` or ``redact``.
        words: the inputs as they were named.
        out: the result, a folder of results, or ``-``.
        options: how the files are read.
        work: what is done with their pieces.
        config: the recipe with the command's own options applied.
        detect_rows: rows of each file by which its columns are chosen; 0: they are not.
        facts: what else the job consists of, by name.
        finish: called at the end of a job that ends in files.
        num_workers: worker processes; None: by size of the input.
        runner: who does the work.
        max_bad_rows: with more the job stops; None: however many there are.
        show: what is seen of it while it runs.
        shown: who is told how far it is, instead.
        summaries: where its summary goes.
    """

    name: str
    words: tuple[str, ...]
    out: str
    options: Options
    work: Work
    config: ServeConfig
    detect_rows: int = 0
    facts: Mapping[str, str] = field(default_factory=dict)
    finish: Finish | None = None
    num_workers: int | None = None
    runner: RunnerName = "local"
    max_bad_rows: int | None = None
    show: progress.Mode = "bar"
    shown: Shown | None = None
    summaries: tuple[Path, ...] = ()


def run(prepare: Callable[[], Job], act: Callable[[Job, Stop], int] | None = None) -> int:
    """Run a batch command's body with its signals, its errors and its exit code."""
    stop = Stop()

    def body() -> int:
        quieten()
        # A scheduler's SIGTERM ends the job at the next shard; Ctrl-C, or a second signal, at once.
        before = signal.signal(signal.SIGTERM, stop.request)
        try:
            return (act or run_job)(prepare(), stop)
        except (KeyboardInterrupt, StoppedError):
            sys.stderr.write("stopped; the same command goes on from here\n")
            return 130
        except TooManyBadRowsError as error:
            logger.error("%s; the same command with a larger --max-bad-rows goes on", error)
            return 1
        except EngineError as error:
            reason = (
                str(error)
                if isinstance(error, runners.WorkerError)
                else f"the engine failed: {describe(error)}"
            )
            logger.error("%s; the same command goes on from here", reason)
            return 1
        except (BrokenPipeError, UserError):
            raise
        except OSError as error:
            raise UserError(
                f"{error.filename or 'a file'}: {error.strerror or type(error).__name__}"
            ) from None
        except Exception as error:
            # Python's own traceback would end with the message, which may quote a row.
            logger.error("%s", trace(error))
            return 1
        finally:
            signal.signal(signal.SIGTERM, before)

    return command.run(body)


def run_job(job: Job, stop: Stop, extractor: Extractor | None = None) -> int:
    """Do a job, or go on with it; returns 0, or 3 where there were bad rows.

    Args:
        job: the job.
        stop: asked before each piece.
        extractor: an open one, where there is one already.

    Raises:
        UserError: something to mend.
        EngineError: the engine or a worker failed.
        StoppedError, TooManyBadRowsError: it ended before its end; the same job goes on.
    """
    started = time.monotonic()
    inputs = source.inputs_of(job.words, job.out)
    places = Places.of(job.out)
    with ExitStack() as stack:
        # Before the model is loaded, find out what would go wrong after it.
        bound = source.bind(inputs, job.options, alone=is_alone(inputs, job.words))
        if extractor is None:
            extractor = stack.enter_context(Extractor.open(job.config.extractor))
        bound, identity = prepared(job, bound, extractor)
        # Last, so that a job that is refused leaves no folder that would be in the way of a better one.
        sink = _sink(job, bound, places, stack, identity)
        num_bytes = _process(job, bound, sink, extractor, stop)
        sink.finish(lambda: _certify(job, places, bound, sink, identity))
    if job.out != STANDARD and not sink.counts["bad_rows"]:
        # An empty list, or one of an earlier job, which would speak of rows that are good now.
        places.bad_rows.unlink(missing_ok=True)
    _report(job, places, sink, num_bytes, time.monotonic() - started)
    return 3 if sink.counts["bad_rows"] else 0


def _certify(
    job: Job, places: Places, inputs: Sequence[Input], sink: Sink, identity: Mapping[str, str]
) -> None:
    if job.finish:
        job.finish(places, inputs, sink.counts, identity)


def _is_resumable(job: Job) -> bool:
    """Whether a job reads and writes files: streams cannot be read or written again."""
    return STANDARD not in (*job.words, job.out)


def prepared(job: Job, inputs: Sequence[Input], extractor: Extractor) -> tuple[list[Input], dict[str, str]]:
    """The inputs with the columns that the job looks through, and its identity; empty where it has none.

    Raises ConfigError: a type or operating point that the extractor does not have; UserError: no columns.
    """
    try:
        extractor.plan(job.work.types, threshold=job.work.point)
    except RequestError as error:
        option = "--operating-point" if error.code == "no_scores" else "--types"
        raise ConfigError(f"{option}: {error.place}: {error}") from None
    if job.detect_rows:
        inputs = columns.detected(inputs, job.work, extractor, job.detect_rows)
    return list(inputs), _identity(job, inputs) if _is_resumable(job) else {}


def is_alone(inputs: Sequence[Input], words: Sequence[str]) -> bool:
    """Whether every input was named itself, and none was found in a folder."""
    return [one.address for one in inputs] == list(words)


def _sink(
    job: Job, inputs: Sequence[Input], places: Places, stack: ExitStack, identity: Mapping[str, str]
) -> Sink:
    if job.out == STANDARD:
        return StreamSink(sys.stdout.buffer, sys.stderr.buffer)
    if _is_resumable(job):
        sink = FileSink(inputs, places, identity)
        stack.callback(sink.close)
        return sink
    if is_remote(job.out):
        raise UserError(f"{job.out}: standard input goes to a local file or to standard output")
    # What came through a pipe cannot be read again: the result appears whole at the end, or not at all.
    bad = stack.enter_context(writing(places.bad_rows, "wb"))
    return StreamSink(stack.enter_context(writing(Path(job.out), "wb")), bad)


def _identity(job: Job, inputs: Sequence[Input]) -> dict[str, str]:
    """What a job consists of. A folder of an unfinished job with anything else is refused by name."""
    extractor: ExtractorConfig = job.config.extractor
    recipe = job.config.model_copy(update={"http": HttpSettings()})
    identity = {
        "command": job.name,
        "input": source.fingerprint(inputs),
        "format": job.options.format or "by name",
        "columns": columns.written(inputs),
        "encoding": job.options.encoding,
        "types": ",".join(job.work.types) if job.work.types else "default",
        "recipe": hashlib.sha256(dump(recipe).encode()).hexdigest(),
        "answer format": codec.fingerprint(),
        **job.facts,
    }
    if extractor.detectors != "patterns" and extractor.model is not None:
        identity["model"] = file_hash(extractor.model / model_folder.MANIFEST)
        identity["tagger"] = extractor.tagger_fingerprint
    return identity


def _process(job: Job, inputs: Sequence[Input], sink: Sink, extractor: Extractor, stop: Stop) -> int:
    """Everything from where the sink begins to the end of the inputs; returns the bytes of this run."""
    positions = tuple(sink.position(index) for index in range(len(inputs)))
    before = [sum(one.size for one in inputs[:index]) for index in range(len(inputs) + 1)]
    begun = next(
        (
            before[at] + min(position.end, inputs[at].size)
            for at, position in enumerate(positions)
            if position
        ),
        before[-1],
    )
    if begun:
        logger.info("going on behind %d bytes", begun)
    total = before[-1] if STANDARD not in job.words else None
    pieces = Pieces(tuple(inputs), positions, job.config.shard_rows)
    work = replace(job.work, names=tuple(one.name for one in inputs) if len(inputs) > 1 else ())
    runner = _runner(job, work, extractor, before[-1] - begun)
    done = begun
    with closing(job.shown or progress.begun(job.show, job.name, total, begun)) as shown:
        for shard in runner.shards(pieces, stop):
            sink.add(shard)
            done = before[shard.file] + shard.consumed
            shown.advance(done, sink.counts)
            _check_bad_rows(job, sink)
    if stop.requested:
        raise StoppedError
    return done - begun


def _runner(job: Job, work: Work, extractor: Extractor, num_bytes: int) -> Runner:
    if job.runner == "ray":
        from serving.ray_runner import OnRay

        return OnRay(work, job.num_workers)
    num_workers = job.num_workers
    if num_workers is None:
        # Worker processes take a second to begin; behind an engine one core is busy already.
        spare = runners.num_cores() - (extractor.config.detectors != "patterns")
        num_workers = spare if num_bytes >= runners.FEW_BYTES and runners.num_cores() > 1 else 0
    return runners.Local(work, extractor, num_workers)


def _check_bad_rows(job: Job, sink: Sink) -> None:
    if job.max_bad_rows is not None and sink.counts["bad_rows"] > job.max_bad_rows:
        raise TooManyBadRowsError(f"{sink.counts['bad_rows']} bad rows")


def _report(job: Job, places: Places, sink: Sink, num_bytes: int, seconds: float) -> None:
    facts = ", ".join(f"{name} {count}" for name, count in sorted(sink.counts.items()) if count)
    logger.info("%s: %s", job.name, facts or "nothing in the input")
    if sink.counts["truncated_parts"]:
        logger.warning("in %d parts the model may have had more to say", sink.counts["truncated_parts"])
    if sink.counts["bad_rows"] and job.out != STANDARD:
        logger.warning("bad rows are not in the result; see %s", places.bad_rows)
    told = {"inputs": len(job.words), "runner": job.runner}
    for path in job.summaries:
        summary.write(path, summary.summarise(job.name, sink.counts, num_bytes, seconds, told))
