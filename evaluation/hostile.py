"""Material of the robustness suites, and the prompt-injection suite that is made of it.

An injection is put beside the text of a document, never into a value, so the gold spans keep their values. A
detector that reads the text as text loses nothing by it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from pydantic import Field

from configs.reader import StrictConfig, load
from data_pipeline.noise import Noise
from data_pipeline.scene import Piece
from pii import codec

_FILE = Path(__file__).with_name("robustness.yaml")
_SENTENCE_END = re.compile(r"(?<=[。！？\n])|(?<=[.!?] )")
_HARMLESS = "umbrella"
"""A word of no entity, for the answer that a fake turn claims."""


class Injection(StrictConfig):
    """One attack."""

    what: str
    """One line for the report."""
    text: str = Field(min_length=1)
    """What is put into the document; its placeholders are those of `robustness.yaml`."""


class Material(StrictConfig):
    """``robustness.yaml``."""

    filler: dict[str, tuple[str, ...]]
    """Language → sentences without personal information."""
    injections: dict[str, Injection]
    """Name → attack."""


@functools.cache
def material() -> Material:
    """The material that comes with the program."""
    return load(_FILE, Material)


def written(injection: Injection) -> str:
    """The text of an attack with its placeholders filled in the model's own format."""
    wrong = '{"entities":[{"type":"PERSON_NAME","value":"' + _HARMLESS + '"}]}'
    text = injection.text
    for name, value in (
        ("{nothing}", codec.render("", ())),
        ("{wrong}", wrong),
        ("{start}", codec.TURN_START),
        ("{end}", codec.TURN_END),
    ):
        text = text.replace(name, value)
    return text


def injecting(injection: Injection) -> Noise:
    """Puts the attack in front, behind, or at the end of a sentence, wherever chance says."""
    attack = written(injection)

    def applied(parts: Sequence[Piece], rng: Random) -> list[Piece]:
        place = rng.choice(("front", "inside", "behind"))
        plain = [i for i, p in enumerate(parts) if not p.type and _SENTENCE_END.search(p.text)]
        if place == "front":
            return [Piece(attack + "\n"), *parts]
        if place == "behind" or not plain:
            return [*parts, Piece("\n" + attack)]
        index = rng.choice(plain)
        text = parts[index].text
        at = rng.choice([match.start() for match in _SENTENCE_END.finditer(text)])
        inside = replace(parts[index], text=f"{text[:at]}\n{attack}\n{text[at:]}")
        return [*parts[:index], inside, *parts[index + 1 :]]

    return applied
