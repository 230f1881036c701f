"""What every command line shares: ``--config``, ``--set``, logging, one-line errors."""

import argparse
import logging
import os
import select
import sys
from collections.abc import Callable
from pathlib import Path

from configs.errors import UserError
from configs.reader import RECIPES, Schema, load

STDOUT = 1
"""The file descriptor of standard output."""


def parser(command: str, description: str, recipe: str | None = None) -> argparse.ArgumentParser:
    """A parser with ``--config FILE`` and ``--set dotted.key=value`` where the command has a recipe.

    Args:
        command: the words that a person types, such as ``pii train``.
        description: what the command reads, does and writes.
        recipe: the default recipe relative to ``configs/``, such as ``mini/train.yaml``.
    """
    made = argparse.ArgumentParser(prog=command, description=description)
    if recipe is not None:
        made.add_argument(
            "--config",
            type=Path,
            default=RECIPES / recipe,
            metavar="FILE",
            help=f"the recipe (default: configs/{recipe})",
        )
        made.add_argument(
            "--set",
            action="append",
            default=[],
            dest="assignments",
            metavar="a.b=c",
            help="change one field of the recipe; may be repeated",
        )
    return made


def config_of(arguments: argparse.Namespace, schema: type[Schema]) -> Schema:
    """The effective configuration of a command made by :func:`parser`."""
    return load(arguments.config, schema, arguments.assignments)


def run(main: Callable[[], int]) -> int:
    """Run a command's body: logging to stderr; a UserError becomes one line and exit code 2.

    An interrupt (Ctrl-C) ends with one line and 130, as shells count it. A reader such as ``head`` that
    closes our standard output early is no error.
    """
    # Threads of torch that wait for each other spin by default and starve one another wherever a core is not
    # free: with two threads on two busy cores, training ran at 150-370 tokens/s spinning, 800-1,200 waiting.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        code = main()
        sys.stdout.flush()
    except UserError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    except BrokenPipeError:
        if not _reader_is_gone():
            raise
        # The interpreter flushes once more at its end, and would fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)
        return 0
    return code


def _reader_is_gone() -> bool:
    """Whether nobody reads our standard output any more (and not some other pipe or socket broke)."""
    output = select.poll()
    output.register(STDOUT, select.POLLOUT)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in output.poll(0))
