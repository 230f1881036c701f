"""What a run says of itself: losses by source, tokens, speed, and one line of progress."""

# ruff: noqa: TID253 - imported by the trainer alone, which is itself imported inside functions.

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from transformers import TrainerState

from training.batches import NO_SOURCE
from training.schedule import Clock


class Tally:
    """Sums of losses by source, and of tokens, since the last reset."""

    def __init__(self, sources: Sequence[str], where: torch.device) -> None:
        self._sources = sources
        self._sums = torch.zeros(len(sources), dtype=torch.float64, device=where)
        self._counts = torch.zeros_like(self._sums)
        self._tokens = torch.zeros(2, dtype=torch.float64, device=where)
        self._since_s = 0.0

    def add(self, losses: torch.Tensor, trained: torch.Tensor, source_ids: torch.Tensor) -> None:
        """Add the losses (N,) of a batch, the mask (B, T - 1) of `answer_losses`, and the sources (B, T)."""
        sources = source_ids[:, 1:][trained]
        self._sums.index_add_(0, sources, losses.double())
        self._counts.index_add_(0, sources, torch.ones_like(losses, dtype=torch.float64))
        self._tokens[0] += (source_ids != NO_SOURCE).sum()
        self._tokens[1] += source_ids.numel()

    def losses(self, name: str) -> dict[str, float]:
        """Mean loss over all tokens, and over those of each source that occurred."""
        means = {name: (self._sums.sum() / self._counts.sum().clamp(min=1)).item()}
        for source, total, count in zip(
            self._sources, self._sums.tolist(), self._counts.tolist(), strict=True
        ):
            if count:
                means[f"{name}_{source}"] = total / count
        return means

    def speed(self, seconds: float) -> dict[str, float]:
        """Tokens per second up to this second of training, and the share of padding."""
        real, padded = self._tokens.tolist()
        elapsed = max(seconds - self._since_s, 1e-9)
        return {"tokens_per_s": real / elapsed, "padding": 1 - real / max(padded, 1)}

    def gather(self, add_up: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Count what the other processes counted too, since their last reset."""
        self._sums, self._counts, self._tokens = map(add_up, (self._sums, self._counts, self._tokens))

    def leave_out(self, seconds: float) -> None:
        """Seconds that were not spent on training count for no speed."""
        self._since_s += seconds

    def reset(self, seconds: float) -> None:
        """Begin anew at this second of training."""
        self._since_s = seconds
        for sums in (self._sums, self._counts, self._tokens):
            sums.zero_()


def line(logs: Mapping[str, float], state: TrainerState, clock: Clock) -> str:
    """One line of progress for an entry of the trainer's log."""
    step = f"step {state.global_step}/{state.max_steps}"
    if "eval_loss" in logs:
        shown = {k: v for k, v in logs.items() if k != "epoch" and "_type_" not in k}
        rest = ", ".join(f"{k.removeprefix('eval_')} {v:.4f}" for k, v in shown.items())
        return f"{step}, validation: {rest}"
    if "loss" not in logs:
        return step
    used = max(state.global_step / state.max_steps, clock.progress)
    left = clock.seconds * (1 - used) / used / 60 if used else 0.0
    also = "".join(f", {name} {logs[name]:.3f}" for name in ("reward", "preferred") if name in logs)
    return (
        f"{step}, loss {logs['loss']:.4f}{also}, rate {logs['learning_rate']:.1e},"
        f" gradient {logs['grad_norm']:.2f}, {logs['tokens_per_s']:,.0f} tokens/s,"
        f" padding {logs['padding']:.1%}, {logs['memory_process_gb']:.1f} GB, about {left:.0f} min left"
    )
