"""Worker processes end with their parent, however it ends, and leave Ctrl-C to it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PARENT = """
import operator, os, sys
from data_pipeline.parallel import Workers
if __name__ == "__main__":
    with Workers(2, operator.index, 0) as workers:
        pids = set(workers.map(pid_of, range(40)))
        print(*pids, flush=True)
        sys.stdin.read()
"""


def is_alive(pid: int) -> bool:
    """Whether a process still runs; a dead one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_workers_survive_ctrl_c_and_end_with_a_killed_parent(tmp_path: Path) -> None:
    # A file, since spawned processes import the main module again.
    script = tmp_path / "parent.py"
    script.write_text("import os\ndef pid_of(_):\n    return os.getpid()\n" + PARENT, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    )
    assert parent.stdout is not None
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    assert workers
    for pid in workers:
        os.kill(pid, signal.SIGINT)
    time.sleep(0.3)
    assert all(map(is_alive, workers))
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 20
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(is_alive, workers))
