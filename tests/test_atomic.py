"""Files and folders are whole or not there, also when the writer is killed."""

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from configs.atomic import writing, writing_folder
from configs.errors import StageError


class Failure(Exception):
    pass


def fail_inside(block: AbstractContextManager[Any], work: Callable[[Any], object]) -> None:
    with block as half:
        work(half)
        raise Failure


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    with writing(path) as file:
        file.write("张三\r\n\n")
        assert not path.exists()
    assert path.read_bytes() == "张三\r\n\n".encode()
    assert names(path.parent) == {"file.txt"}


def test_bytes_can_be_written(tmp_path: Path) -> None:
    with writing(tmp_path / "file", "wb") as file:
        file.write(b"\xff")
    assert (tmp_path / "file").read_bytes() == b"\xff"


def test_an_error_inside_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(Failure):
        fail_inside(writing(path), lambda file: file.write("new"))
    assert path.read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == {"file.txt"}


def test_a_replaced_file_keeps_its_permissions(tmp_path: Path) -> None:
    """Whoever made an output private does not find it public after the next run."""
    path = tmp_path / "file.txt"
    path.touch(mode=0o600)
    with writing(path) as file:
        file.write("new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.touch()
    link.symlink_to(target)
    with writing(link) as file:
        file.write("new")
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8") == "new"


def test_a_device_is_written_and_not_replaced(tmp_path: Path) -> None:
    """`-o /dev/null`, run by root in a container, must not turn the device into a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text(encoding="utf-8")))
    reader.start()
    with writing(pipe) as file:
        file.write("through")
    reader.join(timeout=10)
    assert read == ["through"]
    assert pipe.is_fifo()
    assert names(tmp_path) == {"pipe"}


def test_a_folder_is_no_file_and_a_file_no_folder(tmp_path: Path) -> None:
    """Said before the work, not after it."""
    (tmp_path / "file").touch()
    with pytest.raises(StageError, match="is a folder"), writing(tmp_path):
        pytest.fail("the block must not run")
    with pytest.raises(StageError, match="is a file"), writing_folder(tmp_path / "file"):
        pytest.fail("the block must not run")


def test_two_writers_of_one_file_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with writing(path) as first, writing(path) as second:
        first.write("first " * 1000)
        second.write("second")
    assert path.read_text(encoding="utf-8") == "first " * 1000
    assert names(tmp_path) == {"file"}


def test_a_folder_replaces_an_older_one_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "model"
    for name in ("first", "second"):
        with writing_folder(path) as half:
            (half / name).mkdir()
            (half / name / "weights").write_text(name, encoding="utf-8")
            assert name not in names(tmp_path)
    assert names(path) == {"second"}
    assert names(tmp_path) == {"model"}


def test_an_error_inside_leaves_the_old_folder(tmp_path: Path) -> None:
    path = tmp_path / "model"
    with writing_folder(path) as half:
        (half / "old").touch()
    with pytest.raises(Failure):
        fail_inside(writing_folder(path), lambda half: (half / "new").touch())
    assert names(path) == {"old"}
    assert names(tmp_path) == {"model"}


STUCK = """
import sys, time
from pathlib import Path
from configs.atomic import writing, writing_folder
path = Path(sys.argv[1])
if sys.argv[2] == "file":
    with writing(path) as file:
        file.write("half" * 100_000)
        file.flush()
        print("ready", flush=True)
        time.sleep(60)
with writing_folder(path) as half:
    (half / "part").write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_killed_writer_leaves_the_old_and_its_half_is_swept(
    tmp_path: Path, repository: Path, kind: str
) -> None:
    path = tmp_path / "out[1].jsonl"  # a name that means something to glob
    kept = path if kind == "file" else path / "part"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("old", encoding="utf-8")
    writer = subprocess.Popen(
        [sys.executable, "-c", STUCK, str(path), kind], cwd=repository, stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"ready\n"

    # A second writer leaves the living one's half alone.
    halves = names(tmp_path) - {path.name}
    assert len(halves) == 1
    rewrite(path, kind, "second")
    assert names(tmp_path) == {path.name} | halves

    writer.send_signal(signal.SIGKILL)
    writer.wait(timeout=10)
    writer.stdout.close()
    assert kept.read_text(encoding="utf-8") == "second"
    assert names(tmp_path) == {path.name} | halves

    rewrite(path, kind, "third")
    assert kept.read_text(encoding="utf-8") == "third"
    assert names(tmp_path) == {path.name}


def rewrite(path: Path, kind: str, text: str) -> None:
    if kind == "file":
        with writing(path) as file:
            file.write(text)
    else:
        with writing_folder(path) as half:
            (half / "part").write_text(text, encoding="utf-8")
