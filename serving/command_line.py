"""The options that ``pii extract`` and ``pii redact`` share, and what they mean for a job."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, get_args

from configs import command
from serving import summary
from serving.batch import RunnerName
from serving.columns import SAMPLE_ROWS
from serving.files.addresses import STANDARD
from serving.files.choice import FORMATS, Options, parse_columns
from serving.progress import MODES
from serving.scoring import OperatingPoint
from serving.settings import ServeConfig


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """The options of both commands."""
    made = command.parser(f"pii {name}", description, "mini/serve.yaml")
    made.add_argument(
        "input",
        metavar="IN",
        nargs="+",
        help="file, folder, pattern or address (s3://...); - for standard input",
    )
    made.add_argument(
        "-o",
        "--out",
        default=STANDARD,
        metavar="OUT",
        help="result, or folder of results; - (default): stdout",
    )
    made.add_argument("--types", metavar="A,B", help="entity types to look for (default: the default types)")
    made.add_argument("--model", metavar="DIR", help="model folder (default: the recipe's)")
    made.add_argument("--detectors", choices=("merged", "model", "patterns"), help="who looks")
    made.add_argument(
        "--operating-point", choices=get_args(OperatingPoint), help="how sure to be (default: the recipe's)"
    )
    made.add_argument(
        "--columns",
        action="append",
        default=[],
        metavar="A,B=TYPE",
        help="columns, or paths such as $.messages[*].content; =TYPE: whole values are of that type",
    )
    made.add_argument(
        "--workers", type=_count, metavar="N", help="worker processes; 0: none (default: by size)"
    )
    made.add_argument("--runner", choices=get_args(RunnerName), default="local", help="ray: on a Ray cluster")
    made.add_argument("--max-bad-rows", type=_count, metavar="N", help="stop when there are more")
    made.add_argument(
        "--bad-row-texts", action="store_true", help="write the text of bad rows of lines into their list"
    )
    add_progress_options(made)
    made.add_argument(
        "--summary",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help=".json or .html; may be repeated",
    )
    return made


def add_progress_options(made: argparse.ArgumentParser) -> None:
    """What is seen of a running job."""
    made.add_argument(
        "--progress", choices=MODES, default="bar", help="what to show meanwhile (default: bar)"
    )
    made.add_argument("--quiet", action="store_const", const="quiet", dest="progress", help="no progress")


def add_file_options(made: argparse.ArgumentParser) -> None:
    """How files of other formats than JSONL are read."""
    made.add_argument("--format", choices=FORMATS, help="default: by the ending of each name, otherwise text")
    made.add_argument("--delimiter", metavar="C", help="of CSV (default: comma, or semicolon by the header)")
    made.add_argument("--encoding", default="utf-8", help="of text, CSV and HTML, such as gb18030")


def add_column_options(made: argparse.ArgumentParser) -> None:
    """Which of their columns are looked through, beside ``--columns``."""
    made.add_argument(
        "--detect-columns",
        type=_count,
        nargs="?",
        const=SAMPLE_ROWS,
        default=0,
        metavar="ROWS",
        help=f"look through the columns alone in whose first rows (default: {SAMPLE_ROWS}) anything is found",
    )


def _count(word: str) -> int:
    value = int(word)
    if value < 0:
        raise argparse.ArgumentTypeError("expected 0 or more")
    return value


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


def options_of(arguments: argparse.Namespace) -> Options:
    """How the files are read. Raises ConfigError."""
    return Options(
        arguments.format, parse_columns(arguments.columns), arguments.delimiter, arguments.encoding
    )


def shared(arguments: argparse.Namespace) -> dict[str, Any]:
    """Those attributes of a `Job` that are the same for both commands. Raises ConfigError."""
    for path in arguments.summary:
        summary.check_name(path)
    return {
        "words": tuple(arguments.input),
        "out": arguments.out,
        "num_workers": arguments.workers,
        "runner": arguments.runner,
        "max_bad_rows": arguments.max_bad_rows,
        "show": arguments.progress,
        "summaries": tuple(arguments.summary),
    }
