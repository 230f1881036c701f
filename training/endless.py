"""An endless stream of training examples for the embedded base model; no example comes twice.

Example ``i`` of a phase depends on the seed, the phase and ``i`` alone, so a run can stop anywhere and go on.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from pii import codec
from pii.spans import Document
from pii.taxonomy import shipped

COPY, COPY_QUOTED = "Copy.", "Copy what stands between « and »."
"""Instructions of the pure copy tasks."""


@dataclass(frozen=True, slots=True)
class Example:
    """Token ids and, for each, how much its prediction counts; the first token is never predicted."""

    ids: list[int]
    weights: list[float]

    def __len__(self) -> int:
        return len(self.ids)


Maker = Callable[[random.Random, int], list[codec.Message]]
"""Makes the conversation of one example from its own random numbers and its index."""


def copy_task(alphabet: str) -> Maker:
    """Pure copying: of a whole random string, or of the part of it between quotation marks.

    A model that is trained from nothing learns form and types long before it learns to copy, yet every
    value of an answer is a copy. Random strings leave no other way to be right than to copy.
    """

    def make(rng: random.Random, index: int) -> list[codec.Message]:
        if rng.random() < 0.5:
            text = _random_string(rng, alphabet, rng.randint(2, 48))
            return [_turn("system", COPY), _turn("user", text), _turn("assistant", text)]
        before, inside, after = (_random_string(rng, alphabet, rng.randint(0, high)) for high in (40, 24, 40))
        inside = inside or rng.choice(alphabet)
        return [
            _turn("system", COPY_QUOTED),
            _turn("user", f"{before}«{inside}»{after}"),
            _turn("assistant", inside),
        ]

    return make


def _random_string(rng: random.Random, alphabet: str, length: int) -> str:
    """Runs of digits, of ASCII letters and of anything, as values are made of."""
    parts: list[str] = []
    while length > 0:
        size = min(length, rng.randint(1, 12))
        pool = rng.choice(("0123456789", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", alphabet))
        parts.append("".join(rng.choices(pool, k=size)))
        length -= size
    return "".join(parts)


def extraction(documents: Callable[[int], Document], *, subset_share: float) -> Maker:
    """Extraction from generated documents; a share of them is asked for some of the types only."""
    order = {entity_type.name: place for place, entity_type in enumerate(shipped())}

    def make(rng: random.Random, index: int) -> list[codec.Message]:
        document = documents(index)
        labelled = document.types or shipped().default_types
        if rng.random() < subset_share:
            present = {span.type for span in document.spans}
            wanted = {name for name in present if rng.random() < 0.5}
            wanted |= set(rng.sample(labelled, min(len(labelled), rng.randint(1, 6))))
            labelled = tuple(sorted(wanted, key=order.__getitem__))
        spans = tuple(span for span in document.spans if span.type in labelled)
        asked = replace(document, spans=spans)
        return [
            *codec.prompt(asked.text, labelled),
            _turn("assistant", codec.render(asked.text, asked.spans)),
        ]

    return make


def conversation(rows: Sequence[Sequence[codec.Message]]) -> Maker:
    """General chat, in random order."""

    def make(rng: random.Random, index: int) -> list[codec.Message]:
        return list(rng.choice(rows))

    return make


def _turn(role: str, content: str) -> codec.Message:
    return {"role": role, "content": content}


def examples(
    makers: Sequence[tuple[float, Maker]],
    tokenizer: codec.Tokenizer,
    *,
    seed: str,
    text_weight: float,
    max_tokens: int,
    start: int,
) -> Iterator[Example | None]:
    """The stream from example ``start`` on.

    Args:
        makers: share and maker of each kind of example.
        tokenizer: as for `codec.encode`.
        seed: names the run and the phase.
        text_weight: how much a token of a prompt counts; 1 is the weight of an answer's token.
        max_tokens: longer examples come out as None, so that whoever trains can count them.
        start: index of the first example.
    """
    shares = [share for share, _ in makers]
    index = start
    while True:
        rng = random.Random(f"{seed}/{index}")
        make = rng.choices(makers, shares)[0][1]
        ids, is_answer = codec.encode(tokenizer, make(rng, index), answer_next=False)
        if len(ids) > max_tokens:
            yield None
        else:
            yield Example(ids, [1.0 if answer else text_weight for answer in is_answer])
        index += 1


def batches(pool: Sequence[Example], batch_tokens: int, seed: str) -> list[list[Example]]:
    """Cut a pool into batches of similar lengths with at most ``batch_tokens`` padded tokens each."""
    made: list[list[Example]] = []
    for example in sorted(pool, key=len):
        if made and (len(made[-1]) + 1) * len(example) <= batch_tokens:
            made[-1].append(example)
        else:
            made.append([example])
    random.Random(seed).shuffle(made)
    return made
