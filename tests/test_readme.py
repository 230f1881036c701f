"""Every command block of the README is run, in order, in a copy of the repository, as a newcomer would.

The recipes are those of tests/smoke, cut down to minutes; `make test` itself is what CI runs.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from training.bare import write_untrained

REPOSITORY = Path(__file__).parents[1]
SEED = {
    "entities": [
        {"type": "PERSON_NAME", "value": "张三", "start": 2, "end": 4},
        {"type": "PHONE_NUMBER", "value": "13800138000", "start": 7, "end": 18},
    ]
}
RUN_ELSEWHERE = {"make test\n"}


def blocks(language: str) -> list[str]:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What git would hand to a newcomer, with the environment that is there already."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=REPOSITORY, check=True, capture_output=True).stdout
    for name in filter(None, names.decode().split("\0")):
        if (REPOSITORY / name).is_file():
            target = tmp_path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, target)
            # Older than the environment, which is shared with the repository and never rebuilt from here.
            os.utime(target, (1, 1))
    (tmp_path / ".venv").symlink_to(REPOSITORY / ".venv")
    write_untrained(
        tmp_path / "Qwen" / "Qwen2-1.5B", vocab_texts=["我叫张三，电话13800138000", "My name is Jane."] * 3
    )
    return tmp_path


@pytest.fixture
def environment() -> dict[str, str]:
    return {
        **os.environ,
        "RECIPES": "tests/smoke",
        "SET": "",
        "PYTHONPATH": "",
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }


def wait_until_ready(process: subprocess.Popen[bytes]) -> None:
    for _ in range(240):
        assert process.poll() is None, "the service ended"
        try:
            if httpx.get("http://127.0.0.1:8000/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    pytest.fail("the service was not ready within two minutes")


@pytest.mark.slow
def test_every_command_block_works(copy: Path, environment: dict[str, str]) -> None:
    """Guards the promise that a stranger can follow the README; commands are taken from it verbatim."""
    served: subprocess.Popen[bytes] | None = None
    answers = []
    try:
        for block in blocks("bash"):
            if block in RUN_ELSEWHERE:
                continue
            if block == "make serve\n":
                served = subprocess.Popen(
                    ["bash", "-c", block], cwd=copy, env=environment, start_new_session=True
                )
                wait_until_ready(served)
                continue
            done = subprocess.run(
                ["bash", "-e", "-c", block], cwd=copy, env=environment, capture_output=True, text=True
            )
            assert done.returncode == 0, f"{block}\n{done.stderr[-3000:]}"
            answers.append(done.stdout)
    finally:
        if served is not None:
            os.killpg(served.pid, signal.SIGTERM)
            served.wait(timeout=60)

    assert any('"entities":[{"type":"PERSON_NAME","value":"张三"' in answer for answer in answers)
    assert (copy / "runs/smoke/eval/report.md").is_file()
    assert (copy / "runs/smoke-qwen2-1.5b/eval/report.json").is_file()
    manifest = json.loads((copy / "runs/smoke-qwen2-1.5b/model/manifest.json").read_text())
    assert (manifest["method"], manifest["base_model"]) == ("lora", "Qwen/Qwen2-1.5B")
    for name in ("clean.jsonl", "clean-by-patterns.jsonl"):
        clean = (copy / name).read_text(encoding="utf-8")
        assert "139-1234-5678" not in clean
        assert "jane.doe@contoso.com" not in clean
        assert [json.loads(line)["id"] for line in clean.splitlines()] == [1, 2]


def test_the_readme_shows_the_true_answer() -> None:
    """The answer that the README shows is the one that the seed text must give; who found it may vary."""
    (shown,) = (json.loads(block) for block in blocks("json"))
    seeds = [{name: entity[name] for name in SEED["entities"][0]} for entity in shown["entities"]]
    assert {"entities": seeds} == SEED


def test_every_link_of_the_documents_leads_somewhere() -> None:
    for page in (REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
