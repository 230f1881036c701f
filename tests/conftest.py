"""What every test shares: no network but loopback, and the same hypothesis examples on every run."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# One thread: the suite shares its cores, and threads that wait for each other waste the rest.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The libraries that call out unless told otherwise.
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "VLLM_NO_USAGE_STATS": "1"}

settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
# More and other examples than everybody's: HYPOTHESIS_PROFILE=search pytest ...
settings.register_profile("search", max_examples=2000, deadline=None, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections leave this machine in no test; loopback and Unix sockets stay."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def refuse_remote(own: socket.socket, address: Any) -> None:
        if own.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOOPBACK:
            pytest.fail("a test tried to reach the network", pytrace=True)

    def guarded(own: socket.socket, address: Any) -> None:
        refuse_remote(own, address)
        connect(own, address)

    def guarded_ex(own: socket.socket, address: Any) -> int:
        refuse_remote(own, address)
        return connect_ex(own, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_ex)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).parents[1]


@pytest.fixture(scope="session")
def untrained_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights, windows of 120 characters: what holds for this model, the code ensures."""
    from training.bare import write_untrained

    folder = tmp_path_factory.mktemp("models") / "untrained"
    texts = ["我叫张三，电话13800138000。", "My name is John Smith, call +1 415 555 2671.", "<|im_end|>"] * 3
    write_untrained(folder, vocab_texts=texts, window_chars=120, window_margin=20)
    return folder
