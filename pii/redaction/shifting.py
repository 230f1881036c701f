"""`Shift`: dates moved by an offset that keeps their distances from each other."""

from __future__ import annotations

import datetime
from typing import Literal

from pydantic import Field

from pii.redaction.occurrence import Occurrence, OperatorConfig, Scope
from pii.redaction.written_dates import WrittenDate

DATES = frozenset({"DATE_OF_BIRTH", "DATE_TIME"})


class Shift(OperatorConfig):
    """Move a date by a secret number of days, in the form in which it is written.

    A time of day stays. What is no date, or names a weekday beside it, becomes a tag.
    """

    operator: Literal["shift"] = "shift"
    max_days: int = Field(default=365, ge=1, le=36500)
    """The offset is drawn from 1 to so many days, forwards or back; never nothing."""
    per: Literal["document", "key"] = "document"
    """Whether each document has an offset of its own, or the key has one for all (and links them)."""

    def replacement(self, occurrence: Occurrence, scope: Scope) -> str | None:
        """The moved date; None where the value holds none. Raises KeyRequired."""
        days = self.offset_days(scope)
        # In a number of another type the digits of a date are no date (a resident id).
        written = WrittenDate.read(occurrence.value) if occurrence.type in DATES else None
        if written is None:
            return None
        try:
            moved = written.rewritten(written.date + datetime.timedelta(days=days))
        except OverflowError:
            return None
        # A month or a year alone may be too coarse to show the offset.
        return None if moved == occurrence.value else moved

    def offset_days(self, scope: Scope) -> int:
        """The offset of a document. Raises KeyRequired."""
        parts = [scope.document] if self.per == "document" else []
        drawn = int.from_bytes(scope.digest("shift", *parts), "big") % (2 * self.max_days)
        return drawn - self.max_days if drawn < self.max_days else drawn - self.max_days + 1
