"""``pii bench data``: how long a data set takes, how much memory, and where the time goes.

Builds the recipe into a temporary folder at each of the sizes asked for, proves what was built, and profiles
a small build in one process. Processor time is what can be compared on a machine that others use too.
"""

from __future__ import annotations

import cProfile
import io
import pstats
import resource
import sys
import tempfile
import time
from pathlib import Path

from configs import command
from data_pipeline.build import build
from data_pipeline.recipe import DataConfig
from data_pipeline.rendering import conversation, is_provable
from data_pipeline.shards import read_split
from pii.codec import AnswerStyle
from pii.spans import Document

PROFILED = 2000
"""Examples of the build that is profiled, in one process."""
PROFILE_LINES = 25
PROVEN = 200_000
"""Most answers that are parsed and grounded again."""
_WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def measure(config: DataConfig, examples: int) -> str:
    """Figures of a build of this many examples, and of the proof of what it wrote.

    Peak memory is of this process and of the largest worker, since this process began: measure small sizes
    first.
    """
    started, spent = time.monotonic(), _processor_seconds()
    with tempfile.TemporaryDirectory() as folder:
        sized = config.model_copy(update={"folder": Path(folder) / "set", "examples": examples})
        manifest = build(sized)
        seconds, spent = time.monotonic() - started, _processor_seconds() - spent
        own, workers = (resource.getrusage(who).ru_maxrss // 1024 for who in _WHO)
        rows = manifest["splits"]["train"]["rows"]
        found = prove(sized.folder, rows, config.answer_style)
    return (
        f"{examples} examples: {seconds:.1f} s, {spent:.1f} processor seconds, {rows / seconds:.0f} training "
        f"rows/s, peak memory {own} MiB and {workers} MiB in a worker\n    {found}"
    )


def _processor_seconds() -> float:
    """Of this process and of the workers that have ended."""
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, _WHO))


def prove(folder: Path, rows: int, style: AnswerStyle = "value") -> str:
    """Read the training split back: is every answer what its labels say, and how varied is the text?

    Args:
        folder: the data set.
        rows: how many it is said to hold; of more than `PROVEN` the answers of an even part are looked at.
        style: of the answers.
    """
    step = -(-rows // PROVEN)
    num_rows = num_tried = num_proven = num_labelled = num_empty = 0
    skeletons = set()
    for _, row in read_split(folder, "train"):
        num_rows += 1
        if "text" not in row:
            continue
        num_labelled += 1
        num_empty += not row["entities"]
        if skeleton := row.get("meta", {}).get("skeleton"):
            skeletons.add(skeleton)
        if num_labelled % step == 0:
            document = Document.from_row(row)
            num_tried += 1
            num_proven += is_provable(document, style) and conversation(document, style) == row["messages"]
    assert num_rows == rows, "the split does not hold what the manifest says"
    return (
        f"{num_rows} rows read back: {num_proven} of {num_tried} answers parsed and grounded to their very "
        f"labels, {len(skeletons)} skeletons, {num_empty / max(1, num_labelled):.1%} without an entity"
    )


def profile(config: DataConfig) -> str:
    """The functions that take the most time of their own, of a small build in this process."""
    profiler = cProfile.Profile()
    with tempfile.TemporaryDirectory() as folder:
        small = {"folder": Path(folder) / "set", "examples": PROFILED, "workers": 1}
        profiler.runcall(build, config.model_copy(update=small))
    table = io.StringIO()
    pstats.Stats(profiler, stream=table).strip_dirs().sort_stats("tottime").print_stats(PROFILE_LINES)
    return table.getvalue()


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = command.parser("pii bench data", __doc__ or "", recipe="mini/data.yaml")
    parser.add_argument(
        "--examples", type=int, nargs="+", help="sizes to measure, small ones first (default: the recipe's)"
    )
    arguments = parser.parse_args(argv)

    def body() -> int:
        config = command.config_of(arguments, DataConfig)
        for examples in arguments.examples or [config.examples]:
            sys.stdout.write(measure(config, examples) + "\n")
        sys.stdout.write(profile(config))
        return 0

    return command.run(body)


if __name__ == "__main__":
    sys.exit(main())
