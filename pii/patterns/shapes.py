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
            the surroundings of digits are searched.
        kin: types whose label does not speak against it: what is 账号 to one is a card number to another.
        dense: whether its values hold at least `DENSE` digits: only regions with as many are searched.
    """

    rule: str
    type: str
    pattern: re.Pattern[str]
    alone: Alone = "shape"
    strong: bool = False
    judge: Callable[[str], Verdict] | None = None
    narrow: bool = False
    needs: tuple[str, ...] = ()
    kin: tuple[str, ...] = ()
    dense: bool = False

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
    kin: tuple[str, ...] = (),
    dense: bool = False,
    ignore_case: bool = False,
) -> Shape:
    """One row of a table: a `Shape` whose expression is given as text."""
    compiled = re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    return Shape(rule, type, compiled, alone, strong, judge, narrow, needs, kin, dense)


ALNUM = "0-9A-Za-z"

GAP = r"(?: ?[-.·] ?| |\r?\n *)?"
"""What people put between the groups of one number; also a line break."""

END = rf"(?![{ALNUM}]|[-.][0-9])"
"""No letter or digit follows, nor a further group."""


def starts(first: str, not_after: str = ALNUM) -> str:
    """One character of a class that does not continue another token, nor a number such as ``2024-``."""
    return rf"{first}(?<![{not_after}]{first})(?<![0-9][-.]{first})"
