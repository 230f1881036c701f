"""What every command line shares: ``--config``, ``--set``, logging, one-line errors."""

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from configs.errors import UserError
from configs.reader import RECIPES, Schema, load

Result = TypeVar("Result")


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
    """Run a command's body: logging to stderr; a UserError becomes one line and exit code 2."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        return main()
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except BrokenPipeError:
        # A reader such as `head` closed the pipe: not an error of ours.
        sys.stderr.close()
        return 0
