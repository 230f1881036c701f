"""`pii soak`: mixed load at twice what a service takes, for minutes; what comes back must be each one's own.

    pii soak --config configs/mini/serve.yaml --minutes 10

Starts the recipe's service in a process of its own with few places, and twice as many callers ask without
pause: one text, many texts, redaction, broken bodies, clients who leave. Every text carries a number of its
own, which has to be found in it, and no other. Refusals have to be 429 or 503 with ``Retry-After``. Memory
is read at the beginning, when everything is warm, and at the end.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from configs import command
from configs.errors import StageError

PLACES = 8
"""Requests that the service takes at once; twice as many callers ask."""

WARM_SHARE = 0.2
"""Memory is compared with what it was after this part of the time."""

_REFUSALS = frozenset({429, 503})


@dataclass(slots=True)
class Seen:
    """What callers saw; `wrong` counts answers that were lost, crossed or of a kind that nobody asked for."""

    answers: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)


def _text(number: int) -> tuple[str, str]:
    """A text with an address that no other text has, and that address."""
    address = f"sentinel{number}@example.com"
    return f"第{number}号工单：请联系 {address}，谢谢。", address


def _check(seen: Seen, kind: str, entities: Sequence[dict[str, Any]], address: str) -> None:
    found = [entity["value"] for entity in entities if entity["type"] == "EMAIL_ADDRESS"]
    if found != [address]:
        seen.wrong[f"{kind}: {'crossed' if found else 'lost'}"] += 1


class Caller:
    """Asks without pause until the time is over."""

    def __init__(self, client: Any, seen: Seen, seed: int) -> None:
        self._client, self._seen = client, seen
        self._draw, self._seed, self._number = random.Random(seed), seed, 0

    def _next(self) -> tuple[str, str]:
        self._number += 1
        return _text(self._seed * 10_000_000 + self._number)

    async def run(self, ends: float) -> None:
        """Ask for one thing after the other."""
        kinds = {self._one: 6, self._many: 2, self._redact: 2, self._broken: 1, self._leave: 1}
        while time.monotonic() < ends:
            (ask,) = self._draw.choices(list(kinds), weights=list(kinds.values()))
            await ask()

    async def _post(self, kind: str, path: str, **options: Any) -> Any:
        """The answer's JSON; None where it was refused, as it may be."""
        response = await self._client.post(path, **options)
        self._seen.answers[f"{kind} {response.status_code}"] += 1
        if response.status_code in _REFUSALS:
            if "retry-after" not in response.headers:
                self._seen.wrong[f"{kind}: no Retry-After"] += 1
            return None
        if response.status_code != (400 if kind == "broken" else 200):
            self._seen.wrong[f"{kind}: {response.status_code}"] += 1
            return None
        return response.json()

    async def _one(self) -> None:
        text, address = self._next()
        if (answer := await self._post("one", "/extract", json={"text": text})) is not None:
            _check(self._seen, "one", answer["entities"], address)

    async def _many(self) -> None:
        asked = [self._next() for _ in range(self._draw.randint(2, 12))]
        answer = await self._post("many", "/extract", json={"texts": [text for text, _ in asked]})
        if answer is not None:
            if len(answer["results"]) != len(asked):
                self._seen.wrong["many: lost"] += 1
            for (_, address), result in zip(asked, answer["results"], strict=False):
                if "error" not in result:
                    _check(self._seen, "many", result["entities"], address)
                elif result["error"]["status"] not in _REFUSALS:
                    self._seen.wrong[f"many: item {result['error']['code']}"] += 1

    async def _redact(self) -> None:
        text, address = self._next()
        answer = await self._post("redact", "/redact", json={"text": text})
        if answer is not None and (address in answer["text"] or "工单" not in answer["text"]):
            self._seen.wrong["redact: leaked or crossed"] += 1

    async def _broken(self) -> None:
        await self._post(
            "broken", "/extract", content=b'{"text": "', headers={"content-type": "application/json"}
        )

    async def _leave(self) -> None:
        text, _ = self._next()
        try:
            async with asyncio.timeout(self._draw.random() * 0.02):
                await self._client.post("/extract", json={"text": text})
        except TimeoutError:
            self._seen.answers["left"] += 1


@contextmanager
def _served(options: Sequence[str], log: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The service in a process of its own; yields it and its address."""
    words = [sys.executable, "-m", "pii", "serve", *options, "--set", "http.port=0"]
    with log.open("wb") as file:
        process = subprocess.Popen([*words, "--set", f"http.max_requests={PLACES}"], stderr=file)
    try:
        while not (found := re.search(r"port (\d+)", log.read_text())):
            if process.poll() is not None:
                raise StageError("the service did not start; `pii serve` says why")
            time.sleep(0.1)
        yield process, f"http://127.0.0.1:{found[1]}"
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(60)


async def _load(address: str, pid: int, seconds: float) -> tuple[Seen, dict[str, int]]:
    import httpx
    import psutil

    def memory() -> int:
        own = psutil.Process(pid)
        return sum(process.memory_info().rss for process in (own, *own.children(recursive=True)))

    seen = Seen()
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=address, timeout=300, trust_env=False, limits=limits) as client:
        while (await client.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.2)
        ends = time.monotonic() + seconds
        callers = [Caller(client, seen, seed).run(ends) for seed in range(1, 2 * PLACES + 1)]
        asking = asyncio.gather(*callers)
        await asyncio.sleep(WARM_SHARE * seconds)
        warm = memory()
        await asking
        at_end = memory()
        # Whatever was refused or left has given its place back.
        text, address_in_it = _text(0)
        answer = (await client.post("/extract", json={"text": text})).json()
        _check(seen, "afterwards", answer["entities"], address_in_it)
    return seen, {"warm": warm, "end": at_end}


def soak(options: Sequence[str], seconds: float) -> dict[str, Any]:
    """Keep a service under load; what was seen, and whether it may be so.

    Args:
        options: of `pii serve`.
        seconds: how long.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with _served(options, log) as (process, address):
            seen, memory = asyncio.run(_load(address, process.pid, seconds))
            lives = process.poll() is None
        written = log.read_text()
    refused = sum(n for kind, n in seen.answers.items() if kind.split()[-1] in ("429", "503"))
    return {
        "seconds": seconds,
        "answers": dict(sorted(seen.answers.items())),
        "refused": refused,
        "wrong": dict(seen.wrong),
        "lives": lives,
        "memory_bytes": memory,
        "memory_growth": round(memory["end"] / memory["warm"] - 1, 4),
        "log_holds_text": "sentinel" in written or "工单" in written,
    }


def main(argv: list[str] | None = None) -> int:
    """Keep the recipe's service under load; prints JSON; 0, or 1 where something was wrong."""
    parser = command.parser("pii soak", "Mixed load at twice the capacity, for minutes.", "mini/serve.yaml")
    parser.add_argument("--minutes", type=float, default=10.0)
    arguments = parser.parse_args(argv)
    options = ["--config", str(arguments.config)]
    options += [word for each in arguments.assignments for word in ("--set", each)]

    def body() -> int:
        report = soak(options, 60 * arguments.minutes)
        sys.stdout.write(json.dumps(report, ensure_ascii=False, indent=2) + "\n")
        well = report["lives"] and not report["wrong"] and not report["log_holds_text"]
        return 0 if well and report["memory_growth"] < 0.1 else 1

    return command.run(body)


if __name__ == "__main__":
    sys.exit(main())
