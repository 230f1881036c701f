"""How far a run on the endless stream is, and the batches that come next."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from training.pools import Counted, Pool, Task
from training.pretrain_recipe import BatchSizes, EndlessRecipe


class Progress:
    """Counters of a run, kept over any number of starts.

    Args:
        device: what computes now, in words.

    Attributes:
        tokens: tokens learned from, without padding.
        steps: optimizer steps.
        positions: phase → first example of the pool in work, its examples, its batches that are done.
        left_out: reason → examples that were passed over.
        devices: device → tokens and seconds spent on it.
    """

    def __init__(self, device: str) -> None:
        self.tokens = self.steps = 0
        self.positions: dict[str, tuple[int, int, int]] = {}
        self.left_out: Counter[str] = Counter()
        self.devices: dict[str, dict[str, float]] = {}
        self._device = device
        self._since = time.monotonic()
        self._speed_from = (0, 0.0)

    @property
    def seconds(self) -> float:
        """Seconds of training so far, measurements included."""
        return sum(spent["seconds"] for spent in self.devices.values())

    def start_clock(self) -> None:
        """Begin to count seconds."""
        self._since = time.monotonic()
        self._speed_from = (self.tokens, self.seconds)

    def took(self, batch: Counted) -> None:
        """Count one step."""
        now = time.monotonic()
        spent = self.devices.setdefault(self._device, {"tokens": 0, "seconds": 0.0})
        spent["tokens"] += batch.num_tokens
        spent["seconds"] += now - self._since
        self._since = now
        self.tokens += batch.num_tokens
        self.steps += 1

    def take_speed(self) -> float:
        """Tokens a second since the last call or the start."""
        tokens, seconds = self._speed_from
        self._speed_from = (self.tokens, self.seconds)
        return (self.tokens - tokens) / max(1e-9, self.seconds - seconds)

    def describe(self, recipe: EndlessRecipe) -> str:
        """For people: how far it is."""
        done = f"{self.tokens / 1e6:.2f} of {recipe.tokens / 1e6:.0f} M tokens"
        return f"step {self.steps}, {done}, {self.seconds / 3600:.2f} h"

    def facts(self) -> dict[str, Any]:
        """What a manifest says of the run."""
        return {
            "steps": self.steps,
            "tokens": self.tokens,
            "seconds": round(self.seconds),
            "examples": {name: start for name, (start, _, _) in self.positions.items()},
            "left_out": dict(sorted(self.left_out.items())),
            "devices": {
                name: {"tokens": int(spent["tokens"]), "seconds": round(spent["seconds"])}
                for name, spent in self.devices.items()
            },
        }

    def state(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {
            "tokens": self.tokens,
            "steps": self.steps,
            "positions": dict(self.positions),
            "left_out": dict(self.left_out),
            "devices": {name: dict(spent) for name, spent in self.devices.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""
        self.tokens, self.steps = state["tokens"], state["steps"]
        self.positions = dict(state["positions"])
        self.left_out = Counter(state["left_out"])
        self.devices = {name: dict(spent) for name, spent in state["devices"].items()}


def batches(
    recipe: EndlessRecipe,
    progress: Progress,
    sizes: BatchSizes,
    make: Callable[[Iterable[Task]], Iterator[Pool[Any]]],
) -> Iterator[Any]:
    """The batches of a run from where it is, until its tokens are used up.

    The caller counts each batch (`Progress.took`) before it asks for the next.

    Args:
        recipe: phases and tokens.
        progress: read for the phase and the place in it; the place is written.
        sizes: of pools and batches. A pool that was begun with another size is not finished.
        make: an ordered map of tasks to pools, that may run ahead.
    """
    while progress.tokens < recipe.tokens:
        phase = recipe.phase_at(progress.tokens)
        start, count, done = progress.positions.get(phase.name, (0, sizes.pool, 0))
        if count != sizes.pool:
            start, done = start + count, 0
        tokens = sizes.tokens * phase.batch_factor
        for pool in make(_tasks(phase.name, start, sizes.pool, tokens)):
            if not done:
                progress.left_out.update(pool.left_out)
            for batch in pool.batches[done:]:
                done += 1
                progress.positions[phase.name] = (start, sizes.pool, done)
                yield batch
                if progress.tokens >= recipe.tokens or recipe.phase_at(progress.tokens) is not phase:
                    break
            else:
                start, done = start + sizes.pool, 0
                progress.positions[phase.name] = (start, sizes.pool, 0)
                continue
            break


def _tasks(phase: str, start: int, count: int, batch_tokens: int) -> Iterator[Task]:
    while True:
        yield phase, start, count, batch_tokens
        start += count
