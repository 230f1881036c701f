"""`pii eval peers`: which other detectors can be asked here, and what each can say."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from evaluation.peers.card import load_card
from evaluation.peers.finding import PeerAbsent
from evaluation.peers.process import installed
from evaluation.peers.recipe import AdapterName

ASKED_ANYWHERE = (
    ["http", "a service in the shape of Presidio's analyzer, at any address", "by its label map"],
    ["prompted", "a folder of weights or an OpenAI-compatible service", "all"],
)
"""The kinds that need no library."""


def rows(python: Path | None) -> list[list[str]]:
    """Kind, version in an interpreter, types of its label map; one row a kind."""
    listed = []
    for name in get_args(AdapterName):
        card = load_card(name, None)
        try:
            version = installed(name, python) or "installed"
        except PeerAbsent as error:
            version = str(error)
        listed.append([name, version, ", ".join(card.supported(list(card.labels)))])
    return [*listed, *(list(row) for row in ASKED_ANYWHERE)]
