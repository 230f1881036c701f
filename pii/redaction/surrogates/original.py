"""What the maker of a surrogate gets to know of the value that it replaces."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field

from pii.redaction.occurrence import Scope
from pii.redaction.surrogates.draw import Draw
from pii.redaction.writing import Written


@dataclass(frozen=True, slots=True)
class Original:
    """One value to be replaced.

    Attributes:
        value: as written.
        type: its entity type.
        subtype: what the checks say of it, such as ``cn_resident_id``; empty where they say nothing.
        who: the value however it is written.
        draw: the choices that the key makes for this value.
        scope: the document.
        attempt: how many candidates were no good before.
    """

    value: str = field(repr=False)
    type: str
    subtype: str
    who: str = field(repr=False)
    draw: Draw = field(repr=False)
    scope: Scope = field(repr=False)
    attempt: int = 0

    @property
    def written(self) -> Written:
        """Its letters and digits, and their places."""
        return Written(self.value)


Maker = Callable[[Original], "str | None"]
"""Makes the surrogate of a value; None where it cannot read the value."""


def draw_of(scope: Scope, type: str, who: str, attempt: int = 0) -> Draw:
    """The choices that the key makes for a value. Raises KeyRequired."""
    return Draw(scope.digest("surrogate", type, who, str(attempt)))


def another_day(scope: Scope, day: datetime.date, attempt: int = 0) -> datetime.date:
    """The date that stands for a date, in dates and in numbers that hold one: a month to four years before.

    Never later, so that a date of birth does not come to lie in the future.
    """
    draw = draw_of(scope, "DATE", day.isoformat(), attempt)
    days = datetime.timedelta(days=30 + draw.below(1431))
    # Identity numbers of the old form hold no century: 1901 must not become 1899.
    return day + days if 1900 <= day.year < 1904 else day - days
