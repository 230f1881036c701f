"""What a peer's labels mean in our types: data (``adapters/<name>.yaml``), not code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

from configs.errors import ConfigError
from configs.reader import StrictConfig, load
from pii.taxonomy import shipped

CARDS = Path(__file__).with_name("adapters")


class PeerCard(StrictConfig):
    """A peer and its label map."""

    title: str
    """The peer's name, for people."""
    origin: str
    """Where it is published."""
    licence: str
    """Its licence in words."""
    labels: Mapping[str, tuple[str, ...] | str]
    """Label → our type; or several, of which the first counts that a document is labelled for. Many a peer
    has one label for place names and for postal addresses: ``LOC: [LOCATION, ADDRESS]``."""
    dropped: Mapping[str, str] = {}
    """Label → why it is no entity of ours."""
    notes: str = ""
    """What a reader of its numbers should know."""

    def types_of(self, label: str) -> tuple[str, ...]:
        """The types that a label may stand for; none where the map lacks it or drops it."""
        named = self.labels.get(label, ())
        return (named,) if isinstance(named, str) else tuple(named)

    def supported(self, labels: Collection[str]) -> tuple[str, ...]:
        """The types that a peer with these labels can say, in taxonomy order."""
        reached = {name for label in labels for name in self.types_of(label)}
        return tuple(t.name for t in shipped() if t.name in reached)


class LabelMap:
    """Turns a peer's labels into types, and counts those that its card does not know.

    A peer's labels change with its version; a label without a line is left out, counted and named in the
    report, so that one new label does not end a measurement.
    """

    def __init__(self, card: PeerCard) -> None:
        self.card = card
        self.unknown: Counter[str] = Counter()

    def type_for(self, label: str, labelled: Collection[str]) -> str | None:
        """The type that a label stands for in a document that is labelled for some types; None: left out."""
        types = self.card.types_of(label)
        if not types:
            if label not in self.card.dropped:
                self.unknown[label] += 1
            return None
        return next((name for name in types if name in labelled), types[0])


def load_card(name: str, own: Path | None) -> PeerCard:
    """The shipped card of a peer, or one of one's own.

    Raises ConfigError: there is none, a field is wrong, or it maps to a type that is not in the taxonomy.
    """
    path = own or CARDS / f"{name}.yaml"
    if not path.is_file():
        hint = "" if own else "; name a label map of your own under labels"
        raise ConfigError(f"peer {name}: no label map at {path}{hint}")
    card = load(path, PeerCard)
    unknown = sorted({n for label in card.labels for n in card.types_of(label)} - {t.name for t in shipped()})
    if unknown:
        raise ConfigError(f"{path}: names types that the taxonomy lacks: {', '.join(unknown)}")
    return card
