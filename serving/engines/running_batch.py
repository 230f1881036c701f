"""Greedy decoding of many rows at once, where rows join and leave while others go on.

Every pass reads, in one line (`slots`), the prompts of the rows that join and of the others the latest token,
behind each the tokens that are guessed to come next (`drafting`). S tokens of the line, P of them whose next
token is chosen, V entries of the vocabulary.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from serving.engines.answer_matcher import AnswerMatcher
from serving.engines.drafting import LONGEST_MATCH, Draft, Lookup
from serving.engines.protocol import EngineError
from serving.engines.slots import Head, Line, Slots

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

MOST_GUESSED = 16
"""Tokens guessed for one row at a time."""
GUESSED_TOGETHER = 256
"""Tokens guessed for all rows together: each costs its part of a pass, whether it was right or not."""
SURE = 1e-4
"""A token that takes all of the probability but this needs no mask: that the grammar lets it pass is enough.
Its log-probability among the allowed tokens lies between its own and 0."""
_HEAD_TOKENS, _HEADS = 64, 4
"""Prompts begin alike: of so many different beginnings, as many tokens are kept read."""


@dataclass(slots=True)
class Row:
    """One request under way.

    Attributes:
        prompt_ids: the prompt's tokens.
        matcher: follows its answer; None for free text.
        max_new_tokens: budget, the end-of-turn token included.
        lookup: what its next tokens are guessed from.
        draft: the answer that may come; the first guess.
        end_bias: what is taken off the logits of the tokens that end the list.
        done: ends with the row, or with its EngineError; cancelled by a caller who went away.
        num_cached: how many of its tokens have been read.
        unread: those that have not: the prompt, then the latest token.
    """

    prompt_ids: list[int]
    matcher: AnswerMatcher | None
    max_new_tokens: int
    lookup: Lookup
    draft: Draft
    end_bias: float = 0.0
    done: Future[None] = field(default_factory=Future)
    token_ids: list[int] = field(default_factory=list)
    token_logprobs: list[float] = field(default_factory=list)
    finish: Literal["", "stop", "length", "error"] = ""
    num_cached: int = 0
    unread: list[int] = field(default_factory=list)

    def fail(self, error: EngineError) -> None:
        """End the row with an error."""
        self.finish = "error"
        if not self.done.done() and self.done.set_running_or_notify_cancel():
            self.done.set_exception(error)

    def guess(self, stop_ids: frozenset[int]) -> list[int]:
        """Tokens that may come next; those beyond the budget would only be thrown away."""
        room = min(MOST_GUESSED, self.max_new_tokens - len(self.token_ids) - 1)
        if room <= 0:
            return []
        guessed = list(self.draft.guess(self.token_ids[-LONGEST_MATCH:], room) or self.lookup.guess(room))
        end = next((at for at, token in enumerate(guessed) if token in stop_ids), len(guessed))
        return guessed[:end]

    def append(self, token: int, logprob: float) -> None:
        """Append a token that the grammar has followed, and notice the end of the answer."""
        self.token_ids.append(token)
        self.token_logprobs.append(logprob)
        self.lookup.extend([token])
        self.draft.follow(token)
        if len(self.token_ids) >= self.max_new_tokens:
            self.finish = "length"
        elif self.matcher is not None and self.matcher.is_ended:
            # Only the end of the turn is left: no need to compute it.
            self.finish = "stop"


class RunningBatch:
    """The rows under way, row i in slot i of their cache.

    Args:
        model: a causal language model of transformers, loaded with `slots.ATTENTION`, in evaluation mode.
        stop_ids: tokens that end an answer.
        ending: ids of the tokens that end its list, on which a row's bias lies.
    """

    def __init__(self, model: Any, stop_ids: frozenset[int], ending: Sequence[int] = ()) -> None:
        self._model, self._stop_ids, self._ending = model, stop_ids, tuple(ending)
        self.rows: list[Row] = []
        self._slots = Slots()
        self._heads: list[tuple[list[int], Head]] = []

    def admit(self, rows: Sequence[Row]) -> None:
        """Let rows join; the next step reads their prompts."""
        for row in rows:
            row.unread = row.prompt_ids
            self.rows.append(row)

    def step(self) -> None:
        """One more token for every row, and as many more as were guessed rightly."""
        self._leave()
        if not self.rows:
            return
        new = [slot for slot, row in enumerate(self.rows) if not row.num_cached]
        for slot in new:
            self._begin_with_head(slot, self.rows[slot])
        guesses = self._guesses()
        line = Line(
            self._slots,
            [(row.num_cached, row.unread + guess) for row, guess in zip(self.rows, guesses, strict=True)],
            self._model.device,
        )
        places = [
            place
            for end, guess in zip(line.ends, guesses, strict=True)
            for place in range(end - len(guess) - 1, end)
        ]
        self._choose(guesses, self._forward(line, places))
        for slot in new:
            self._keep_head(slot, self.rows[slot])
        self._leave()

    def _guesses(self) -> list[list[int]]:
        """Guesses for all rows: as many for each as still fit, the longest ones cut first."""
        guesses = [row.guess(self._stop_ids) for row in self.rows]
        most = MOST_GUESSED
        while most and sum(min(len(guess), most) for guess in guesses) > GUESSED_TOGETHER:
            most -= 1
        return [guess[:most] for guess in guesses]

    def _forward(self, line: Line, places: list[int]) -> torch.Tensor:
        """Logits at some places of a line: P, V, float32."""
        import torch

        logits: torch.Tensor = self._model(
            input_ids=line.tokens_S[None],
            position_ids=line.columns_S[None],
            use_cache=False,
            logits_to_keep=torch.tensor(places, device=line.tokens_S.device),
            line=line,
        ).logits
        return logits[0].float()

    def _choose(self, guesses: Sequence[list[int]], logits_PV: torch.Tensor) -> None:
        """Append to each row its likeliest token, and the next one as long as the guess was the likeliest."""
        lengths = [len(guess) + 1 for guess in guesses]
        best_P = _argmax(self._biased(logits_PV, lengths))
        logprobs_P = logits_PV.log_softmax(dim=1).gather(1, best_P[:, None])[:, 0]
        best, logprobs = best_P.tolist(), logprobs_P.tolist()
        at = 0
        for row, guess in zip(self.rows, guesses, strict=True):
            num_right = 0
            while not row.finish:
                place = at + num_right
                token = self._take(row, best[place], logprobs[place], logits_PV[place])
                if num_right == len(guess) or token != guess[num_right]:
                    break
                num_right += 1
            at += len(guess) + 1
            row.num_cached += len(row.unread) + num_right
            row.unread = row.token_ids[-1:]

    def _biased(self, logits_PV: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
        """With what rows take off the end of the list; a copy, for log-probabilities are those without it."""
        import torch

        if not self._ending or not any(row.end_bias for row in self.rows):
            return logits_PV
        biases = [row.end_bias for row, length in zip(self.rows, lengths, strict=True) for _ in range(length)]
        biased_PV = logits_PV.clone()
        biased_PV[:, list(self._ending)] -= torch.tensor(biases, device=logits_PV.device)[:, None]
        return biased_PV

    def _take(self, row: Row, token: int, logprob: float, logits_V: torch.Tensor) -> int:
        """Append the likeliest of the allowed tokens to a row; returns it.

        Args:
            row: the row.
            token: the likeliest of all.
            logprob: its log-probability among all.
            logits_V: of all.
        """
        bound = row.matcher
        if bound and (token in self._stop_ids or logprob < -SURE or not bound.follow(token)):
            token, logprob = self._best_of(bound.allowed(), logits_V.cpu().numpy(), row.end_bias)
            if not bound.follow(token):
                raise RuntimeError("the grammar refused a token that it had allowed")
        if token in self._stop_ids:
            row.finish = "stop"
        else:
            row.append(token, logprob)
        return token

    def _best_of(
        self, allowed: NDArray[np.intp], logits_V: NDArray[np.float32], end_bias: float
    ) -> tuple[int, float]:
        """The likeliest of some tokens, in ascending order, and its log-probability among them."""
        import numpy as np

        if not len(allowed):
            raise RuntimeError("the grammar allows nothing")
        values = logits_V[allowed]
        weighed = values
        if end_bias and self._ending:
            weighed = values - end_bias * _one_hot(self._ending, len(logits_V))[allowed]
        at = int(weighed.argmax())
        highest = values.max()
        total = highest + np.log(np.exp(values - highest).sum())
        return int(allowed[at]), float(values[at] - total)

    def _leave(self) -> None:
        """Hand out the finished rows, forget the cancelled ones; the last rows move into their slots."""
        for slot in reversed(range(len(self.rows))):
            row = self.rows[slot]
            if not row.finish and not row.done.cancelled():
                continue
            last = self.rows.pop()
            if last is not row:
                self.rows[slot] = last
                self._slots.move(len(self.rows), slot, last.num_cached)
            if row.finish in ("stop", "length") and row.done.set_running_or_notify_cancel():
                row.done.set_result(None)

    # --- beginnings ---------------------------------------------------------------------------------

    def _begin_with_head(self, slot: int, row: Row) -> None:
        """Take over what is read already of a prompt's beginning."""
        shared = [(_num_shared(ids, row.prompt_ids), head) for ids, head in self._heads]
        num_shared, head = max(shared, key=lambda known: known[0], default=(0, []))
        # The last token is read in any case: what follows it is the question.
        num_shared = min(num_shared, len(row.prompt_ids) - 1)
        if num_shared:
            self._slots.reserve(slot + 1, num_shared)
            self._slots.begin(slot, head, num_shared)
            row.num_cached, row.unread = num_shared, row.prompt_ids[num_shared:]

    def _keep_head(self, slot: int, row: Row) -> None:
        """Keep the beginning of a prompt that shares little with those that are kept."""
        ids = row.prompt_ids[:_HEAD_TOKENS]
        if any(_num_shared(kept, ids) > len(ids) // 8 for kept, _ in self._heads):
            return
        self._heads = [*self._heads[1 - _HEADS :], (ids, self._slots.head(slot, len(ids)))]


def _argmax(logits_PV: torch.Tensor) -> torch.Tensor:
    """The likeliest entry of each row; of equal ones the first. NumPy's is ten times as fast on a CPU."""
    import torch

    if logits_PV.device.type != "cpu":
        return logits_PV.argmax(dim=1)
    return torch.from_numpy(logits_PV.numpy().argmax(axis=1))


@functools.lru_cache(maxsize=4)
def _one_hot(ids: tuple[int, ...], num_entries: int) -> NDArray[np.float32]:
    """1 at these entries of the vocabulary, 0 at the others."""
    import numpy as np

    found = np.zeros(num_entries, np.float32)
    found[list(ids)] = 1.0
    return found


def _num_shared(left: Sequence[int], right: Sequence[int]) -> int:
    """Length of the common beginning."""
    both = zip(left, right, strict=False)
    return next((at for at, (one, other) in enumerate(both) if one != other), min(len(left), len(right)))
