"""``pii bench train --config runs.yaml``: what training costs beside a bare loop and a plain TRL script.

Each loop runs in a process of its own on the recipe's data and base. `pii train` and the bare PyTorch loop
take the same steps on the same batches, on a CPU in turns, and their losses have to agree; TRL's trainer has
its defaults. Ends with 1 where a bound is missed, so that a script can rely on it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

from configs.atomic import writing
from configs.command import config_of, parser, run
from configs.errors import StageError
from configs.reader import dump
from training import device
from training.loops import TURN
from training.recipe import TrainRecipe

LEAST_RATIO, MOST_MEMORY, LEAST_OVER_TRL = 0.95, 1.10, 1.5
"""Bounds: throughput beside the bare loop, peak memory beside it, tokens a second beside TRL's defaults."""

WARM_UP = 3
"""First steps that are not counted: allocations, compiled kernels."""

FULL_RUN = 50_000 * 3
"""Examples of the run that is extrapolated to: 50,000 in three epochs."""

Runs = Mapping[str, Sequence[dict[str, Any]]]


def main(argv: list[str] | None = None) -> int:
    """Run ``pii bench train``; returns 0, 1 where a bound is missed, 2 where something has to be mended."""
    commands = parser("pii bench train", __doc__ or "", "mini/train.yaml")
    commands.add_argument("--steps", type=int, default=30, help="optimizer steps of each loop (default: 30)")
    commands.add_argument("--rounds", type=int, default=2, help="times that each loop runs (default: 2)")
    commands.add_argument("--compiled", action="store_true", help="also run ours with `compiled: true`")
    commands.add_argument("--without-trl", action="store_true", help="leave the plain TRL script out")
    commands.add_argument("--json", type=Path, metavar="FILE", help="write what was measured")
    arguments = commands.parse_args(argv)

    def body() -> int:
        recipe = _shortened(config_of(arguments, TrainRecipe), arguments.steps)
        wanted = {
            "ours": True,
            "bare": True,
            "compiled": arguments.compiled,
            "trl": not arguments.without_trl,
        }
        loops = [name for name, is_wanted in wanted.items() if is_wanted]
        runs = measure(recipe, loops, arguments.steps, arguments.rounds)
        for name, of_loop in runs.items():
            check_trained(name, of_loop)
        check_same_steps(runs)
        found = figures(recipe, runs)
        sys.stdout.write(table(found))
        if arguments.json:
            with writing(arguments.json) as file:
                json.dump({"figures": found, "runs": runs}, file, indent=1)
        missed = bounds_missed(found)
        sys.stdout.write("".join(f"missed: {line}\n" for line in missed))
        return 1 if missed else 0

    return run(body)


def _shortened(recipe: TrainRecipe, steps: int) -> TrainRecipe:
    """The recipe for so many steps, without measurements, checkpoints or loggers on the way."""
    values = recipe.model_dump()
    values["length"] |= {"epochs": 1e6, "max_steps": steps, "max_minutes": None}
    values["watch"] |= {
        "validate_every": steps + 1,
        "checkpoint_every": steps + 1,
        "validation_examples": 8,
        "keep_best": None,
        "patience": None,
        "f1_examples": 0,
        "report_to": (),
    }
    # A bench that recovers would not take the steps that it compares.
    values["guardian"] |= {"policy": "warn"}
    values["compiled"] = False
    return TrainRecipe.model_validate(values)


def measure(recipe: TrainRecipe, loops: Sequence[str], steps: int, rounds: int) -> Runs:
    """Run the loops: on a CPU those that take the same steps in turns, all others one after the other.

    What neighbours do to one step they then do to its pair too; on a GPU the memory may not hold two models.

    Raises StageError: one of them ended with an error.
    """
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in loops}
    on_cpu = device.choose(recipe.precision).kind == "cpu"
    together = [name for name in loops if name != "trl"] if on_cpu else []
    groups = [together, *([name] for name in loops if name not in together)]
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(rounds):
            for names in groups:
                places = [Path(folder) / f"{name}-{turn}" for name in names]
                _run([_Loop(recipe, name, place, steps) for name, place in zip(names, places, strict=True)])
                for name, place in zip(names, places, strict=True):
                    runs[name].append(json.loads((place / "out.json").read_text(encoding="utf-8")))
    return runs


class _Loop:
    """One loop of `training.loops` in a process of its own, which steps when it is told to."""

    def __init__(self, recipe: TrainRecipe, name: str, place: Path, steps: int) -> None:
        sys.stderr.write(f"{name} ...\n")
        place.mkdir()
        small = recipe.model_copy(update={"output": place / "run", "compiled": name == "compiled"})
        (place / "recipe.yaml").write_text(dump(small), encoding="utf-8")
        files = [str(place / "recipe.yaml"), str(place / "out.json")]
        self._name, self._said = name, place / "said.txt"
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "training.loops", name, *files, str(steps)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
        self.is_ready = self._is_at_turn()

    def step(self) -> None:
        """Let it take a step, or end after the last one. Raises StageError: it ended with an error."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        self.is_ready = self._is_at_turn()

    def _is_at_turn(self) -> bool:
        assert self._process.stdout is not None
        if TURN in iter(self._process.stdout.readline, ""):
            return True
        code = self._process.wait()
        if code:
            last = (self._said.read_text(encoding="utf-8").strip().splitlines() or ["no word"])[-1]
            raise StageError(f"the loop `{self._name}` ended with {code}: {last}")
        return False

    def end(self) -> None:
        """Stop it, if it is still there."""
        self._process.kill()
        self._process.communicate()


def _run(loops: Sequence[_Loop]) -> None:
    try:
        while any(loop.is_ready for loop in loops):
            for loop in loops:
                if loop.is_ready:
                    loop.step()
    finally:
        for loop in loops:
            loop.end()


def check_trained(name: str, runs: Sequence[Mapping[str, Any]]) -> None:
    """Raises StageError where a loop had no gradient, or a loss that did not fall."""
    for one in runs:
        losses, norms = one["losses"], one["norms"]
        part = max(1, len(losses) // 4)
        if not norms or min(norms) <= 0:
            raise StageError(f"`{name}`: a step had no gradient: nothing was measured")
        if not mean(losses[-part:]) < mean(losses[:part]):
            raise StageError(f"`{name}`: the loss did not fall: take more steps or another rate")


def check_same_steps(runs: Runs) -> None:
    """Raises StageError where our loop, compiled or not, and the bare one did not do the same."""
    for name in {"ours", "compiled"} & runs.keys():
        for ours, bare in zip(runs[name], runs["bare"], strict=True):
            if ours["tokens"] != bare["tokens"]:
                raise StageError("the loops took different batches: nothing was compared")
            early = list(zip(ours["losses"], bare["losses"], strict=True))[: WARM_UP + 2]
            if any(abs(one - other) > 0.02 * other for one, other in early):
                raise StageError("the loops had different losses: nothing was compared")


def figures(recipe: TrainRecipe, runs: Runs) -> dict[str, Any]:
    """The figures of each loop, and the ratios between them.

    The ratio of throughputs is the median over pairs of steps on the same batch, on a CPU by processor time:
    the two loops wait for nothing, and on a shared machine the clock would measure the neighbours.
    """
    rate = device.matrix_rate(device.choose(recipe.precision))
    loops = {name: _of_loop(of_loop, rate) for name, of_loop in runs.items()}
    peaks = {name: loops[name]["peak_gb"] for name in loops}
    found: dict[str, Any] = {
        "device": runs["ours"][0]["device"],
        "loops": loops,
        "throughput_beside_bare": _beside_bare(runs, "ours"),
        "memory_beside_bare": peaks["ours"] / peaks["bare"],
    }
    if "compiled" in loops:
        found["compiled_beside_bare"] = _beside_bare(runs, "compiled")
        found["compiled_memory_beside_bare"] = peaks["compiled"] / peaks["bare"]
    if "trl" in loops:
        found["throughput_beside_trl"] = _speed(runs["ours"], "work_s") / _speed(runs["trl"], "work_s")
    return found


def _beside_bare(runs: Runs, name: str) -> float:
    pairs = [
        there / here
        for ours, bare in zip(runs[name], runs["bare"], strict=True)
        for here, there in list(zip(ours["work_s"], bare["work_s"], strict=True))[WARM_UP:]
    ]
    return float(median(pairs))


def _speed(runs: Sequence[Mapping[str, Any]], seconds: str) -> float:
    """Median over the rounds of the tokens a second, by `step_s` or `work_s`."""
    speeds = (sum(one["tokens"][WARM_UP:]) / sum(one[seconds][WARM_UP:]) for one in runs)
    return float(median(speeds))


def _of_loop(runs: Sequence[Mapping[str, Any]], rate: float) -> dict[str, float]:
    """Medians over the rounds. Memory is the GPU's where there is one, else the process's."""
    where = "gpu" if "gpu" in runs[0]["peak_gb"] else "process"
    speed = _speed(runs, "step_s")
    operations = 4 * runs[0]["parameters"] + 2 * runs[0]["trainable"]
    return {
        "tokens_per_s": speed,
        "tokens_per_step": mean(runs[0]["tokens"]),
        "share_of_matrix_rate": speed * operations / rate,
        "peak_gb": median(one["peak_gb"][where] for one in runs),
        "loaded_gb": median(one["loaded_gb"][where] for one in runs),
        "hours_for_full_run": FULL_RUN * runs[0]["mean_tokens"] / speed / 3600,
        "first_loss": runs[0]["losses"][0],
        "last_loss": runs[0]["losses"][-1],
    }


def bounds_missed(found: Mapping[str, Any]) -> list[str]:
    """A line for each bound that does not hold."""
    missed = []
    if found["throughput_beside_bare"] < LEAST_RATIO:
        missed.append(f"throughput beside the bare loop is under {LEAST_RATIO}")
    if found["memory_beside_bare"] > MOST_MEMORY:
        missed.append(f"peak memory beside the bare loop is over {MOST_MEMORY}")
    if found.get("throughput_beside_trl", LEAST_OVER_TRL) < LEAST_OVER_TRL:
        missed.append(f"tokens a second beside TRL's defaults are under {LEAST_OVER_TRL} times")
    return missed


def table(found: Mapping[str, Any]) -> str:
    """The figures for people, as Markdown."""
    lines = [
        f"{found['device']}",
        "",
        "| loop | tokens/s | of the matrix rate | peak memory | 50,000 x 3 examples | loss |",
        "|---|---|---|---|---|---|",
    ]
    for name, of_loop in found["loops"].items():
        lines.append(
            f"| {name} | {of_loop['tokens_per_s']:,.0f} | {of_loop['share_of_matrix_rate']:.1%} |"
            f" {of_loop['peak_gb']:.2f} GB | {of_loop['hours_for_full_run']:.1f} h |"
            f" {of_loop['first_loss']:.2f} → {of_loop['last_loss']:.2f} |"
        )
    lines += [
        "",
        f"throughput beside the bare loop  {found['throughput_beside_bare']:.3f} (at least {LEAST_RATIO})",
        f"peak memory beside the bare loop {found['memory_beside_bare']:.3f} (at most {MOST_MEMORY})",
    ]
    if "compiled_beside_bare" in found:
        lines.append(f"compiled, beside the bare loop   {found['compiled_beside_bare']:.3f}")
        lines.append(f"its peak memory beside that      {found['compiled_memory_beside_bare']:.3f}")
    if "throughput_beside_trl" in found:
        ratio = found["throughput_beside_trl"]
        lines.append(f"throughput beside TRL's defaults {ratio:.2f} (at least {LEAST_OVER_TRL})")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
