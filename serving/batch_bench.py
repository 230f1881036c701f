"""``pii bench batch``: what a batch job costs beside the work that it cannot do without.

Patterns alone: processor seconds of whole jobs at several sizes, each in a process of its own, beside those
of looking through the same texts in a loop. With a model: documents a second of a job beside those of the
engine, taken in turns, medians, by the clock and by processor time. Processor time is what can be compared on
a machine that others use too.
"""

from __future__ import annotations

import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import data_pipeline
from configs import command
from pii.patterns import find, sifted
from pii.redaction import Policy
from serving import batch
from serving.extractor import Extractor
from serving.files.choice import Options
from serving.redact import Redactor
from serving.settings import ServeConfig
from serving.work import Work

SIZES = (10_000, 100_000)
COMMANDS = ("extract", "redact")
ROUNDS = 3
ROW_CHARS = 600
"""Code points of a row: some paragraphs."""
PERSONAL = 10
"""Every so many rows say a name and a number."""


def texts(num_rows: int, num_chars: int = ROW_CHARS, source: Path | None = None) -> Iterator[str]:
    """Rows of a text, over and over with a number of their own.

    Args:
        num_rows: how many.
        num_chars: code points of a row, beside what is added to it.
        source: a file of plain text; None: the Chinese conversations that come with the program.
    """
    pool = source.read_text("utf-8") if source else "".join(_conversations())
    for row in range(num_rows):
        start = row * num_chars % (len(pool) - num_chars)
        said = f"我叫张三，电话138{row % 10**8:08d}。" if row % PERSONAL == 0 else ""
        yield f"{row} {said}{pool[start : start + num_chars]}"


def _conversations() -> Iterator[str]:
    folder = Path(data_pipeline.__file__).with_name("samples")
    for path in sorted(folder.glob("*-zh.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield from _strings(json.loads(line))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value + "\n"
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


def _write(path: Path, num_rows: int, num_chars: int = ROW_CHARS, source: Path | None = None) -> int:
    """A JSONL file; returns the bytes of its texts."""
    size = 0
    with path.open("w", encoding="utf-8") as file:
        for text in texts(num_rows, num_chars, source):
            size += len(text.encode())
            file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    return size


def _job(name: str, source: Path, out: Path) -> tuple[float, float]:
    """Processor seconds and peak memory in MiB of a job in a process of its own."""
    words = [sys.executable, "-m", "pii", name, str(source), "-o", str(out), "--detectors", "patterns"]
    child = subprocess.Popen([*words, "--workers", "0", "--quiet"], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"the job ended with {child.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def patterns_alone(
    sizes: Sequence[int], num_chars: int, commands: Sequence[str], pool: Path | None = None
) -> Iterator[str]:
    """One line for each size and command, and one for the patterns in a loop."""
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            source, out = Path(folder) / "in.jsonl", Path(folder) / "out.jsonl"
            num_bytes = _write(source, size, num_chars, pool)
            started = time.process_time()
            read = sifted(texts(size, num_chars, pool))
            found = sum(len(find(text, None, kinds)) for text, kinds in read)
            yield _line("patterns in a loop", size, num_bytes, time.process_time() - started, found)
            for name in commands:
                seconds, memory = _job(name, source, out)
                lines = sum(1 for _ in out.open("rb"))
                assert lines == size
                yield _line(f"pii {name}", size, num_bytes, seconds, None) + f", peak {memory:.0f} MiB"


def _line(name: str, rows: int, num_bytes: int, seconds: float, found: int | None) -> str:
    told = "" if found is None else f", {found} found"
    return f"{name:<20} {rows:>9} rows {num_bytes / 1e6:8.1f} MB {num_bytes / 1e6 / seconds:6.1f} MB/s{told}"


def with_model(config: ServeConfig, num_rows: int, num_chars: int, rounds: int) -> Iterator[str]:
    """Documents a second of the engine alone and of jobs, in turns."""
    rows = list(texts(num_rows, num_chars))
    with Extractor.open(config.extractor) as extractor, tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.jsonl"
        _write(source, num_rows, num_chars)
        job = _redaction(config, source)

        def engine() -> None:
            assert sum(1 for _ in extractor.extract_all(rows, detectors="model")) == num_rows

        def whole(number: int) -> None:
            out = Path(folder) / f"{number}.jsonl"
            batch.run_job(replace(job, out=str(out)), batch.Stop(), extractor)
            assert sum(1 for _ in out.open("rb")) == num_rows

        engine()  # the first texts pay for warming up
        alone, jobs = [], []
        for number in range(rounds):
            alone.append(_seconds(engine))
            jobs.append(_seconds(lambda number=number: whole(number)))  # type: ignore[misc]
        yield f"{extractor.engine}, {num_rows} rows of {num_chars} characters, {rounds} rounds"
        for clock, name in enumerate(("by the clock", "by processor time")):
            rates = [num_rows / statistics.median(taken[clock] for taken in way) for way in (alone, jobs)]
            share = 100 * statistics.median(a[clock] / j[clock] for a, j in zip(alone, jobs, strict=True))
            yield (
                f"{name}: engine alone {rates[0]:.1f} documents/s, job {rates[1]:.1f};"
                f" a job has {share:.1f} % of the engine's rate (median of the rounds)"
            )


def _redaction(config: ServeConfig, source: Path) -> batch.Job:
    redactor = Redactor(Policy(), None, None, by_patterns=True)
    work = Work(redactor, config.extractor, None)
    return batch.Job("redact", (str(source),), "", Options(), work, config, num_workers=0, show="quiet")


def _seconds(call: Callable[[], None]) -> tuple[float, float]:
    """Seconds by the clock, and of the processor in all threads of this process."""
    started = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - started[0], time.process_time() - started[1]


def main(argv: list[str] | None = None) -> int:
    """Measure; 0, or 2 where there is something to mend."""
    parser = command.parser("pii bench batch", "Measure what a batch job costs.", "mini/serve.yaml")
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES, help="sizes of the jobs by patterns")
    parser.add_argument("--chars", type=int, default=ROW_CHARS, help="code points of a row")
    parser.add_argument(
        "--texts", type=Path, metavar="FILE", help="plain text to cut rows from (default: conversations)"
    )
    parser.add_argument(
        "--commands", nargs="+", choices=COMMANDS, default=COMMANDS, help="which jobs (default: all)"
    )
    parser.add_argument("--model-rows", type=int, default=0, help="rows of the jobs with the recipe's model")
    parser.add_argument("--model-chars", type=int, default=ROW_CHARS, help="code points of those rows")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns of the engine and of the job")
    arguments = parser.parse_args(argv)

    def body() -> int:
        for line in patterns_alone(arguments.rows, arguments.chars, arguments.commands, arguments.texts):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        if arguments.model_rows:
            config = command.config_of(arguments, ServeConfig)
            for line in with_model(config, arguments.model_rows, arguments.model_chars, arguments.rounds):
                sys.stdout.write(line + "\n")
        return 0

    return command.run(body)


if __name__ == "__main__":
    sys.exit(main())
