"""The process for libraries that a file may bring down: whatever happens there, this one goes on."""

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pii.errors import RequestError
from serving.files.isolation import MAX_MEMORY_BYTES, Isolated, allow_seconds

SECRET = "欧阳明13800138000"


@pytest.fixture(scope="module")
def apart() -> Iterator[Isolated]:
    made = Isolated()
    yield made
    if made._process is not None:
        made._end()


def doubled(number: int) -> int:
    return 2 * number


def process_id() -> int:
    return os.getpid()


def refuses(text: str) -> None:
    raise RequestError("has_form", "document", text)


def fails(text: str) -> None:
    raise ValueError(text)


def asks_for_memory() -> int:
    return len(bytes(MAX_MEMORY_BYTES))


def crashes() -> None:
    ctypes.string_at(0)


def gives_up() -> None:
    os._exit(0)


def spins() -> None:
    allow_seconds(0)
    while True:
        pass


def writes_to_the_terminal() -> None:
    for stream in (1, 2):
        os.write(stream, SECRET.encode())


def test_a_function_of_a_module_is_called_in_another_process_that_is_kept(apart: Isolated) -> None:
    assert apart.call(doubled, 21) == 42
    first = apart.call(process_id)
    assert first != os.getpid()
    assert apart.call(process_id) == first


@pytest.mark.parametrize(
    ("function", "given", "reason"),
    [
        (refuses, (SECRET,), "has_form"),
        (fails, (SECRET,), "failed: ValueError"),
        (asks_for_memory, (), "too_complex"),
        (crashes, (), "too_complex"),
        (gives_up, (), "too_complex"),
        (spins, (), "too_complex"),
    ],
)
def test_what_goes_wrong_there_is_a_reason_without_text_and_the_next_call_is_answered(
    apart: Isolated, function: Callable[..., None], given: tuple[Any, ...], reason: str
) -> None:
    with pytest.raises(RequestError) as raised:
        apart.call(function, *given)
    assert raised.value.code == reason
    assert SECRET not in str(raised.value)
    assert apart.call(doubled, 3) == 6


def test_a_process_that_was_killed_while_it_waited_is_nobodys_fault(apart: Isolated) -> None:
    os.kill(apart.call(process_id), signal.SIGKILL)
    assert apart._process is not None
    apart._process.join(10)
    assert apart.call(doubled, 4) == 8


def test_nothing_that_it_writes_comes_to_the_terminal(
    apart: Isolated, capfd: pytest.CaptureFixture[str]
) -> None:
    if apart._process is not None:
        apart._end()
    apart.call(writes_to_the_terminal)
    assert SECRET not in "".join(capfd.readouterr())


def test_it_ends_with_a_parent_that_is_killed_while_it_works() -> None:
    code = (
        "import os, sys, threading, time\n"
        "from serving.files.isolation import Isolated\n"
        "apart = Isolated()\n"
        "from tests.test_isolation import process_id\n"
        "print(apart.call(process_id), flush=True)\n"
        "apart.call(time.sleep, 60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait(10)
    end = time.monotonic() + 20
    while _lives(child):
        assert time.monotonic() < end
        time.sleep(0.05)


def _lives(process: int) -> bool:
    """Whether it is there and no zombie, which waits for whoever inherited it."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_fork_begins_a_process_of_its_own(apart: Isolated) -> None:
    theirs = apart.call(process_id)
    ours, other = multiprocessing.Pipe()
    child = os.fork()
    if not child:
        try:
            other.send(apart.call(process_id))
        finally:
            os._exit(0)
    assert ours.poll(30)
    assert ours.recv() not in (theirs, os.getpid())
    os.waitpid(child, 0)
    assert apart.call(process_id) == theirs


def test_a_program_that_has_used_it_ends() -> None:
    code = (
        "from serving.files.isolation import Isolated\n"
        "import os\n"
        "if __name__ == '__main__':\n"
        "    Isolated().call(os.getpid)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)
