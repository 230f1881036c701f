"""The shared command line: exit codes, one-line errors, streams."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from configs import command
from configs.errors import ConfigError, UserError
from configs.reader import StrictConfig
from pii.errors import DataError, ModelFolderError, RequestError


class Recipe(StrictConfig):
    steps: int = 1


def failing(error: BaseException) -> int:
    def main() -> int:
        raise error

    return command.run(main)


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_code_is_the_body_s(code: int) -> None:
    assert command.run(lambda: code) == code


@pytest.mark.parametrize(
    "error",
    [ConfigError("x"), DataError("x"), ModelFolderError("x"), RequestError("code", "types[0]", "x")],
)
def test_what_a_person_can_mend_is_one_line_and_2(
    error: UserError, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(error) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "error: x\n")


def test_an_error_of_many_lines_is_written_on_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(UserError("first\n  second")) == 2
    assert capsys.readouterr().err == "error: first second\n"


def test_an_interrupt_is_one_line_and_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_our_own_errors_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        failing(ZeroDivisionError())


def test_a_broken_pipe_that_is_not_standard_output_is_an_error() -> None:
    with pytest.raises(BrokenPipeError):
        failing(BrokenPipeError())


def test_config_and_set_reach_the_schema(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("steps: 2", encoding="utf-8")
    parser = command.parser("pii x", "Does x.", "mini/x.yaml")
    plain = parser.parse_args(["--config", str(recipe)])
    changed = parser.parse_args(["--config", str(recipe), "--set", "steps=3", "--set", "steps=4"])
    assert command.config_of(plain, Recipe) == Recipe(steps=2)
    assert command.config_of(changed, Recipe) == Recipe(steps=4)


def test_a_command_without_a_recipe_has_no_config_option() -> None:
    with pytest.raises(SystemExit) as caught:
        command.parser("pii x", "Does x.").parse_args(["--config", "x.yaml"])
    assert caught.value.code == 2


WRITES = """
import sys
from configs.command import run
def main():
    for number in range({lines}):
        print("x" * 100)
    return 0
sys.exit(run(main))
"""


@pytest.mark.parametrize("lines", [1, 100_000], ids=["at the end", "in the middle"])
def test_a_reader_that_leaves_early_is_no_error(repository: Path, lines: int) -> None:
    """`pii extract ... | head`: neither a traceback nor a failure, however little was written."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITES.format(lines=lines)],
        cwd=repository,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # With a buffer, as people run it: what was printed last is written when the interpreter ends.
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
    )
    assert writer.stdout is not None
    assert writer.stderr is not None
    writer.stdout.close()
    err = writer.stderr.read()
    writer.stderr.close()
    assert (writer.wait(timeout=60), err) == (0, b"")
