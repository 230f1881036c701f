"""Runs one adapter in a process of its own: texts in, offsets and labels out, one JSON object a line.

    python -I worker.py ADAPTER version         → {"version": "2.2.366"}  or {"missing": "presidio_analyzer"}
    python -I worker.py ADAPTER serve OPTIONS   → {"version", "labels", "seconds"}, then for each line
        {"text", "language"}                    → {"found": [[start, end, label], ...], "seconds"}
                                                  or {"failure": kind}
        end of input                            → {"peak_memory_mb"}

A process of its own, because peers pin other versions than this program, print what they read, call out to
hubs, and would blur each other's memory. ``-I`` keeps this program's modules out of the peer's interpreter,
which may be another Python; so this file imports the standard library alone. What the peer prints goes
nowhere, for it may hold text; connections off this machine are refused.
"""

from __future__ import annotations

import importlib.util
import json
import os
import runpy
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ADAPTERS = Path(__file__).with_name("adapters")

PACKAGES = {
    "presidio": ("presidio_analyzer", "presidio-analyzer"),
    "spacy": ("spacy", "spacy"),
    "cutword": ("cutword", "cutword"),
    "lac": ("LAC", "LAC"),
    "jionlp": ("jionlp", "jionlp"),
    "gliner": ("gliner", "gliner"),
    "token_classification": ("transformers", "transformers"),
}
"""Adapter → the module that it needs, and the distribution whose version is the peer's."""

OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}


def main() -> None:
    """Answer on the standard output that was there at the start; the peer never sees it."""
    name, mode = sys.argv[1], sys.argv[2]
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)

    def answer(row: dict[str, Any]) -> None:
        answers.write(json.dumps(row) + "\n")
        answers.flush()

    if mode == "version":
        answer(_version(name))
    else:
        _serve(name, json.loads(sys.argv[3]), answer)


def _version(name: str) -> dict[str, str]:
    from importlib import metadata

    module, distribution = PACKAGES[name]
    if importlib.util.find_spec(module) is None:
        return {"missing": module}
    try:
        return {"version": metadata.version(distribution)}
    except metadata.PackageNotFoundError:
        return {"version": ""}


def _serve(name: str, options: dict[str, Any], answer: Callable[[dict[str, Any]], None]) -> None:
    os.environ.update(OFFLINE)
    _stay_on_this_machine()
    began = time.monotonic()
    try:
        adapter = runpy.run_path(str(ADAPTERS / f"{name}.py"))["Adapter"](**options)
    except Exception as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        answer({"missing": missing} if missing else {"failure": type(error).__name__})
        return
    answer({**_version(name), "labels": list(adapter.labels), "seconds": time.monotonic() - began})
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        began = time.monotonic()
        try:
            marked = adapter.find(asked["text"], asked["language"])
            found = [[int(start), int(end), str(label)] for start, end, label in marked]
        except Exception as error:
            answer({"failure": type(error).__name__})
        else:
            answer({"found": found, "seconds": time.monotonic() - began})
    answer({"peak_memory_mb": _peak_memory_mb()})


def _stay_on_this_machine() -> None:
    connect = socket.socket.connect

    def guarded(own: socket.socket, address: Any) -> None:
        if own.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1"):
            raise OSError("connections off this machine are refused")
        connect(own, address)

    socket.socket.connect = guarded  # type: ignore[method-assign, assignment]


def _peak_memory_mb() -> float:
    import resource

    # Linux counts in KiB.
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


if __name__ == "__main__":
    main()
