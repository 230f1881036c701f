"""``pii bench data``: how long a data set takes, how much memory, and where the time goes.

Builds the recipe into a temporary folder at each of the sizes asked for, and profiles a small build in one
process.
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

PROFILED = 2000
"""Examples of the build that is profiled, in one process."""
PROFILE_LINES = 25


def measure(config: DataConfig, examples: int) -> str:
    """One line of figures for a build of this many examples.

    Peak memory is of this process and of the largest worker, since this process began: measure small sizes
    first.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        manifest = build(config.model_copy(update={"folder": Path(folder) / "set", "examples": examples}))
    seconds = time.monotonic() - started
    rows = manifest["splits"]["train"]["rows"]
    own, workers = (resource.getrusage(who).ru_maxrss // 1024 for who in _WHO)
    return (
        f"{examples} examples: {seconds:.1f} s, {rows / seconds:.0f} training rows/s, "
        f"peak memory {own} MiB and {workers} MiB in a worker"
    )


_WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


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
