"""What ``pii extract`` and ``pii redact`` share: options, rows through the extractor, shards, progress.

Exit codes: 0 done; 1 the engine failed; 2 something to mend; 3 done, and there were bad rows; 130 stopped by
a signal. After 1, 2 and 130 the same command goes on where the job stands.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal, get_args

from configs import command
from configs.atomic import writing
from configs.errors import ConfigError, UserError
from configs.reader import dump
from configs.stage import file_hash
from pii import codec, model_folder
from pii.errors import RequestError
from pii.redaction import LeakError
from serving.engines.protocol import EngineError
from serving.extractor import Extraction, Extractor, ExtractorConfig
from serving.rows import Row, read_jsonl, read_text
from serving.scoring import OperatingPoint
from serving.settings import HttpSettings, ServeConfig
from serving.silence import describe, quieten, trace
from serving.sinks import FileSink, Shard, Sink, StreamSink

logger = logging.getLogger(__name__)

Format = Literal["jsonl", "text"]
Write = Callable[[Row, Extraction, Counter[str]], str]
"""The output of one row: for JSONL a line without its end, for plain text the block. It may add to the counts
of the shard, and raises LeakError where the row must not be written."""

Finish = Callable[[Mapping[str, int], Mapping[str, str]], None]
"""Called when the result is there, with the job's counts and with what the job consisted of."""

STANDARD = "-"

MAX_FAILURES = 10
"""So many failures in succession are no longer the rows' fault: the job stops, to go on later."""


@dataclass(frozen=True, slots=True)
class Job:
    """One batch command, its options read.

    Attributes:
        name: ``extract`` or ``redact``.
        source: the input, or ``-``.
        out: the result, or ``-``.
        format: how the input is cut into rows.
        types: the types to look for; None for the default ones.
        config: the recipe with the command's own options applied.
        point: the operating point that the command names; None: that of the recipe, if there are scores.
        write: makes a row's output.
        facts: what else the job consists of, by name.
        finish: called at the end of a job from file to file.
    """

    name: str
    source: str
    out: str
    format: Format
    types: tuple[str, ...] | None
    config: ServeConfig
    write: Write
    point: OperatingPoint | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    finish: Finish | None = None


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """The options of both commands."""
    made = command.parser(f"pii {name}", description, "mini/serve.yaml")
    made.add_argument("input", metavar="IN", help="input file, or - for standard input")
    made.add_argument("-o", "--out", default=STANDARD, metavar="OUT", help="result; - (default): stdout")
    made.add_argument("--types", metavar="A,B", help="entity types to look for (default: the default types)")
    made.add_argument("--model", metavar="DIR", help="model folder (default: the recipe's)")
    made.add_argument("--detectors", choices=("merged", "model", "patterns"), help="who looks")
    made.add_argument(
        "--operating-point", choices=get_args(OperatingPoint), help="how sure to be (default: the recipe's)"
    )
    return made


def config_of(arguments: argparse.Namespace) -> ServeConfig:
    """The recipe with ``--model``, ``--detectors`` and ``--operating-point`` as further assignments."""
    for option in ("model", "detectors", "operating_point"):
        value = getattr(arguments, option)
        if value is not None:
            arguments.assignments.append(f"extractor.{option}={json.dumps(value)}")
    return command.config_of(arguments, ServeConfig)


def types_of(arguments: argparse.Namespace) -> tuple[str, ...] | None:
    """The words of ``--types``."""
    if arguments.types is None:
        return None
    return tuple(word.strip() for word in arguments.types.split(","))


def run(prepare: Callable[[], Job]) -> int:
    """Run a batch command's body with its signals, its errors and its exit code."""

    def body() -> int:
        quieten()
        # A scheduler's SIGTERM ends the job as Ctrl-C does: what is finished stays.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            return _run(prepare())
        except KeyboardInterrupt:
            sys.stderr.write("stopped; the same command goes on from here\n")
            return 130
        except EngineError as error:
            logger.error("the engine failed: %s; the same command goes on from here", describe(error))
            return 1
        except (BrokenPipeError, UserError):
            raise
        except OSError as error:
            raise UserError(f"{error.filename or 'a file'}: {error.strerror}") from None
        except Exception as error:
            # Python's own traceback would end with the message, which may quote a row.
            logger.error("%s", trace(error))
            return 1

    return command.run(body)


def _run(job: Job) -> int:
    _check_paths(job)
    with ExitStack() as stack:
        source: BinaryIO = sys.stdin.buffer
        if job.source != STANDARD:
            source = stack.enter_context(Path(job.source).open("rb"))
        identity = _identity(job) if STANDARD not in (job.source, job.out) else {}
        extractor = stack.enter_context(Extractor.open(job.config.extractor))
        try:
            extractor.plan(job.types, threshold=job.point)
        except RequestError as error:
            option = "--operating-point" if error.code == "no_scores" else "--types"
            raise ConfigError(f"{option}: {error.place}: {error}") from None
        # Last, so that a job that is refused leaves no folder that would be in the way of a better one.
        sink = _sink(job, stack, identity)
        if sink.start:
            source.seek(sink.start)
            logger.info("going on from line %d", sink.next_line)
        _process(job, source, sink, extractor)
        sink.finish()
    if job.finish and identity:
        job.finish(sink.counts, identity)
    if job.out != STANDARD and not sink.counts["bad_rows"]:
        # An empty list, or one of an earlier job, which would speak of rows that are good now.
        _bad_rows(job).unlink(missing_ok=True)
    _report(job, sink)
    return 3 if sink.counts["bad_rows"] else 0


def _check_paths(job: Job) -> None:
    """Find out before the model is loaded what would go wrong after it."""
    if job.source != STANDARD and not Path(job.source).exists():
        raise UserError(f"{job.source}: no such file")
    if job.source != STANDARD and not Path(job.source).is_file():
        raise UserError(f"{job.source}: not a regular file; pipe it in and name -")
    if job.out == STANDARD:
        return
    out = Path(job.out)
    if out.is_dir():
        raise UserError(f"{out}: is a folder")
    if job.source != STANDARD and out.exists() and out.samefile(job.source):
        raise UserError(f"{out}: is the input; name another file")


def _sink(job: Job, stack: ExitStack, identity: Mapping[str, str]) -> Sink:
    if job.out == STANDARD:
        return StreamSink(sys.stdout.buffer, sys.stderr.buffer)
    out = Path(job.out)
    if job.source != STANDARD:
        sink = FileSink(out, _bad_rows(job), identity)
        stack.callback(sink.close)
        return sink
    # What came through a pipe cannot be read again: the result appears whole at the end, or not at all.
    bad = stack.enter_context(writing(_bad_rows(job), "wb"))
    return StreamSink(stack.enter_context(writing(out, "wb")), bad)


def _bad_rows(job: Job) -> Path:
    return Path(f"{job.out}.bad.jsonl")


def _identity(job: Job) -> dict[str, str]:
    """What a job consists of. A folder of an unfinished job with anything else is refused by name."""
    extractor: ExtractorConfig = job.config.extractor
    identity = {
        "command": job.name,
        "input": file_hash(Path(job.source)),
        "format": job.format,
        "types": ",".join(job.types) if job.types else "default",
        "recipe": dump(job.config.model_copy(update={"http": HttpSettings()})),
        "answer format": codec.fingerprint(),
        **job.facts,
    }
    if extractor.detectors != "patterns" and extractor.model is not None:
        model_folder.read_manifest(extractor.model)
        identity["model"] = file_hash(extractor.model / model_folder.MANIFEST)
    return identity


def _process(job: Job, source: BinaryIO, sink: Sink, extractor: Extractor) -> None:
    """Everything from where the sink begins to the end of the input."""
    from tqdm import tqdm

    read = read_jsonl if job.format == "jsonl" else read_text
    rows = read(source, extractor.check_text, line=sink.next_line)
    total = Path(job.source).stat().st_size if job.source != STANDARD else None
    shard, num_rows, num_failures = Shard(sink.start, sink.next_line), 0, 0
    with tqdm(total=total, initial=sink.start, unit="B", unit_scale=True, desc=job.name) as progress:
        for row, extraction in _extracted(rows, extractor, job.types):
            if extraction is not None:
                num_failures = num_failures + 1 if extraction.failure else 0
            if num_failures == MAX_FAILURES:
                raise EngineError(f"{MAX_FAILURES} rows in succession failed")
            _enter(shard, row, extraction, job)
            num_rows += 1
            progress.update(row.end - progress.n)
            if num_rows % job.config.shard_rows == 0:
                sink.add(shard)
                shard = Shard(shard.end, shard.next_line)
                progress.set_postfix(bad=sink.counts["bad_rows"], refresh=False)
    if shard.counts:
        sink.add(shard)


def _extracted(
    rows: Iterator[Row], extractor: Extractor, types: tuple[str, ...] | None
) -> Iterator[tuple[Row, Extraction | None]]:
    """Rows in order, with what was found in those that have a text; the engine never waits for a shard."""
    waiting: deque[Row] = deque()

    def texts() -> Iterator[str]:
        for row in rows:
            waiting.append(row)
            if row.text is not None:
                yield row.text

    for extraction in extractor.extract_all(texts(), types, tolerant=True):
        while waiting[0].text is None:
            yield waiting.popleft(), None
        yield waiting.popleft(), extraction
    yield from ((row, None) for row in waiting)


def _enter(shard: Shard, row: Row, extraction: Extraction | None, job: Job) -> None:
    """Put one row's outcome into a shard."""
    shard.end, shard.next_line = row.end, row.next_line
    reason = f"failed: {extraction.failure}" if extraction and extraction.failure else row.reason
    written: str | None = None
    if extraction is not None and not extraction.failure:
        try:
            written = job.write(row, extraction, shard.counts)
        except LeakError:
            reason = "leak"
    if extraction is not None and written is not None:
        line_end = "\n" if job.format == "jsonl" else ""
        shard.output += (written + line_end).encode("utf-8")
        shard.counts["rows"] += 1
        shard.counts["truncated_parts"] += len(extraction.truncated)
        shard.counts.update(span.type for span in extraction.spans)
    elif reason:
        fault = {"line": row.line, "reason": reason}
        if row.next_line - row.line > 1:
            fault["last_line"] = row.next_line - 1
        shard.bad += json.dumps(fault).encode() + b"\n"
        shard.counts["bad_rows"] += 1
        shard.counts[f"bad: {reason}"] += 1
    else:
        shard.counts["blank_lines"] += 1


def _report(job: Job, sink: Sink) -> None:
    facts = ", ".join(f"{name} {count}" for name, count in sorted(sink.counts.items()) if count)
    logger.info("%s: %s", job.name, facts or "nothing in the input")
    if sink.counts["truncated_parts"]:
        logger.warning("in %d parts the model may have had more to say", sink.counts["truncated_parts"])
    if sink.counts["bad_rows"] and job.out != STANDARD:
        logger.warning("bad rows are not in the result; see %s", _bad_rows(job))
