"""The cells of the form matrix in a data set: a surface form (`data_pipeline.surface`) in a carrier.

A cell's share is asked of the texts with values in that carrier. A form is drawn before the text is written,
and the text is drawn again until it holds a value that the form suits; where none comes (no mainland
mobile number in English prose, say), a form that suits is taken instead. So what is given may differ from
what is asked, and the data card shows both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from data_pipeline.records import UNBEARABLE
from data_pipeline.scene import Piece
from data_pipeline.surface import BARE, FORMS, suitable
from data_pipeline.values.chance import Weighted

Shares = Mapping[str, Mapping[str, float]]
"""Carrier → form → share."""


def cell_weights(
    carriers: Sequence[str], forms: Mapping[str, float], cells: Shares
) -> dict[str, dict[str, float]]:
    """Carrier → form → relative weight: those of `cells`, and for forms that it does not name, of `forms`.

    A form that a carrier cannot hold (`data_pipeline.records.UNBEARABLE`) is left out.
    """
    return {
        carrier: {
            form: weight
            for form, weight in {**forms, **cells.get(carrier, {})}.items()
            if form not in UNBEARABLE.get(carrier, ())
        }
        for carrier in carriers
    }


class FormChoice:
    """Draws the form of each text of one carrier.

    Args:
        weights: form → relative weight.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = weights
        self._forms = Weighted(weights)

    def draw(self, rng: Random) -> str:
        """The form that the next text shall be written in."""
        return self._forms.draw(rng)

    def instead(self, pieces: Sequence[Piece], rng: Random) -> str:
        """A form that suits these pieces."""
        return Weighted(suitable(pieces, self._weights)).draw(rng)

    def shares(self) -> dict[str, float]:
        """Form → share that is asked for."""
        whole = sum(self._forms.weights.values())
        return {form: weight / whole for form, weight in self._forms.weights.items()}


def suits(form: str, pieces: Sequence[Piece]) -> bool:
    """Whether a form can be applied to one of the values, or is ``bare``."""
    return form == BARE or any(p.type and FORMS[form].suits(p) for p in pieces)
