"""Pure copy tasks: strings that nobody could guess, to be written again.

A model that is trained from nothing learns form and types long before it learns to copy, yet every value of
an answer is a copy. Random strings leave no other way to be right.
"""

from __future__ import annotations

import json
import string
from collections.abc import Sequence
from random import Random

from pii import codec

WHOLE, ONE, MANY = "Copy.", "Copy what stands between « and ».", "List what stands between « and »."
"""The instructions, as system turns."""

_POOLS = (string.digits, string.ascii_letters, string.ascii_lowercase, string.ascii_uppercase)
_PUNCTUATION = " -.,:/@_，。、：\n\"'()（）"


class CopyTasks:
    """Draws copy tasks.

    Args:
        characters: what the strings are made of, beside digits, ASCII letters and punctuation.
    """

    def __init__(self, characters: Sequence[str]) -> None:
        self._characters = [c for c in characters if c not in "«»"] or list(string.ascii_letters)

    def draw(self, rng: Random) -> list[codec.Message]:
        """System, user and assistant turn of one task.

        To write the whole text again, perhaps twice; to copy the part of it between quotation marks; or to
        list all such parts as a JSON array in their order, which is nearly what an extraction asks for.
        """
        chance = rng.random()
        if chance < 0.35:
            text = self.string(rng, 1, rng.choice((8, 20, 60)))
            return _turns(WHOLE, text, " ".join([text] * rng.randint(1, 2)))
        if chance < 0.6:
            inside = self.string(rng, 1, 24)
            around = self.string(rng, 0, 40), self.string(rng, 0, 40)
            return _turns(ONE, f"{around[0]}«{inside}»{around[1]}", inside)
        parts = [self.string(rng, 1, 16) for _ in range(rng.randint(1, 5))]
        text = self.string(rng, 0, 16) + "".join(f"«{part}»{self.string(rng, 0, 16)}" for part in parts)
        return _turns(MANY, text, json.dumps(parts, ensure_ascii=False, separators=(",", ":")))

    def string(self, rng: Random, shortest: int, longest: int) -> str:
        """A random string: runs of digits, of letters, of any characters, as values are made of."""
        length = rng.randint(shortest, longest)
        made: list[str] = []
        while len(made) < length:
            size = min(length - len(made), rng.randint(1, 12))
            pool = rng.choice(_POOLS) if rng.random() < 0.5 else self._characters
            made += rng.choices(pool, k=size)
            if len(made) < length and rng.random() < 0.3:
                made.append(rng.choice(_PUNCTUATION))
        return "".join(made)


def _turns(instruction: str, text: str, answer: str) -> list[codec.Message]:
    return [
        {"role": "system", "content": instruction},
        {"role": "user", "content": text},
        {"role": "assistant", "content": answer},
    ]
