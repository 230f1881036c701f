"""Dates and attributes: another day in the same form, another word of the same kind."""

from __future__ import annotations

import re

from pii.folding import scan
from pii.redaction.surrogates.original import Original, another_day
from pii.redaction.surrogates.pools import pools
from pii.redaction.writing import restyled
from pii.redaction.written_dates import WrittenDate

_NUMBER = re.compile(r"\d{1,3}")


def date(original: Original) -> str | None:
    """Another day in the form in which the date is written; None where it is no date."""
    written = WrittenDate.read(original.value)
    if written is None:
        return None
    return written.rewritten(another_day(original.scope, written.date, original.attempt))


def attribute(original: Original) -> str | None:
    """Another word of the same row of the table, or another age of the same decade; None for other words."""
    value = scan(original.value).text.strip()
    for row in pools().alternatives:
        known = [word.casefold() for word in row]
        if value.casefold() in known:
            others = [word for word in row if word.casefold() != value.casefold()]
            chosen = original.draw.pick(others)
            return restyled(original.value.strip(), chosen) if value.isupper() else chosen
    ages = _NUMBER.findall(value)
    if len(ages) != 1:
        return None
    age = int(ages[0])
    near = age // 10 * 10 + original.draw.below(10)
    return _NUMBER.sub(lambda found: restyled(found[0], str(near)), original.value)
