"""The recogniser by shape, and the pieces that its regular expressions are made of.

Every expression begins with a class of first characters, so that the search skips all others in C, and
bounds its left side by a lookbehind *behind* that character. All repetitions are bounded and no two
neighbouring parts can match the same characters, so the time is linear in the text.

The tables: `phones`, `identities`, `money`, `things`, `keys`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pii.identifiers import Verdict, check

Alone = Literal["shape", "checksum", "never"]
"""What a value needs where no label is near: its shape alone, a checksum that holds, or it is not taken."""


@dataclass(frozen=True)
class Shape:
    """One recogniser.

    Attributes:
        rule: its name in reports.
        type: the entity type.
        pattern: where candidates stand; group ``value`` where only a part is the value.
        alone: what it needs without a label.
        strong: whether its checksum may be believed against another type's label.
        judge: gives the verdict on a candidate; `check` of the type where None.
        narrow: whether trailing groups may be cut off until the verdict is not a failure.
        needs: literals one of which a text must hold; the whole text is searched then. Where empty, only
            the regions in which values can stand are searched (`pii.patterns.regions`): the surroundings of
            digits, or what the next three say.
        digits: fewest digits of a value, written in a row or in groups; 0: there may be letters between.
        in_a_row: fewest of them that stand in a row.
        token: whether its values are at least sixteen letters and digits without anything between.
        marks: characters one of which a text must hold; empty: there need be none.
        core: what stands in every value that `judge` accepts, where `pattern` lets much more pass; a regular
            expression. It spares looking (`pii.patterns.sieve`) and decides nothing.
        kin: types whose label does not speak against it: what is 账号 to one is a card number to another.
    """

    rule: str
    type: str
    pattern: re.Pattern[str]
    alone: Alone = "shape"
    strong: bool = False
    judge: Callable[[str], Verdict] | None = None
    narrow: bool = False
    needs: tuple[str, ...] = ()
    digits: int = 0
    in_a_row: int = 1
    token: bool = False
    marks: str = ""
    core: str = ""
    kin: tuple[str, ...] = ()

    @property
    def group(self) -> str | int:
        """The group of `pattern` that is the value."""
        return "value" if "value" in self.pattern.groupindex else 0

    def verdict(self, value: str) -> Verdict:
        """Judge one candidate."""
        return self.judge(value) if self.judge else check(self.type, value)


def shape(
    rule: str,
    type: str,
    pattern: str,
    alone: Alone = "shape",
    *,
    strong: bool = False,
    judge: Callable[[str], Verdict] | None = None,
    narrow: bool = False,
    needs: tuple[str, ...] = (),
    digits: int = 0,
    in_a_row: int = 1,
    token: bool = False,
    marks: str = "",
    core: str = "",
    kin: tuple[str, ...] = (),
    ignore_case: bool = False,
) -> Shape:
    """One row of a table: a `Shape` whose expression is given as text."""
    compiled = re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    return Shape(
        rule, type, compiled, alone, strong, judge, narrow, needs, digits, in_a_row, token, marks, core, kin
    )


ALNUM = "0-9A-Za-z"

GAP = r"(?: ?[-.·] ?| |\r?\n *)?"
"""What people put between the groups of one number; also a line break."""

END = rf"(?![{ALNUM}]|[-.][0-9])"
"""No letter or digit follows, nor a further group."""


def starts(first: str, not_after: str = ALNUM) -> str:
    """One character of a class that does not continue another token, nor a number such as ``2024-``."""
    return rf"{first}(?<![{not_after}]{first})(?<![0-9][-.]{first})"
