"""What is known of a source before a row is read: licence, format, fields, label map.

The shipped cards are data (`cards/*.yaml`); a team's own source is one more YAML file of the same form.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from configs.errors import ConfigError
from configs.reader import StrictConfig, load
from pii.taxonomy import shipped

CARDS = Path(__file__).with_name("cards")

Format = Literal["spans", "tokens", "ai4privacy", "label_studio", "doccano", "csv", "cases"]


class Fields(StrictConfig):
    """Names of the columns of a row, for the formats that leave them open."""

    text: str = "text"
    """The text of the document."""
    spans: str = "entities"
    """The list of labelled spans."""
    label: str = "type"
    """In a span: its label."""
    start: str = "start"
    """In a span: where it begins."""
    end: str = "end"
    """In a span: where it ends."""
    value: str = "value"
    """In a span: the text that it covers, which proves the offsets."""
    language: str = "language"
    """Language of the row; the card's own language where the row has none."""
    tokens: str = "tokens"
    """The tokens of a sentence, in parquet and JSON."""
    tags: str = "ner_tags"
    """The tag of each token: a name, or a number into ``tag_names``."""
    holds: str = "should_match"
    """In a test case: whether the text holds what its label names."""


class Group(StrictConfig):
    """Labels that mark parts of one thing; neighbouring parts become one span."""

    parts: Mapping[str, str]
    """Label → the type that it has where no neighbour of the group stands beside it."""
    gap: str
    """Regular expression of what may stand between two neighbours."""
    reversed_gap: str | None = None
    """What may stand between them where the second label comes earlier in ``parts`` than the first
    (``Keebler, Anna``); None: the same as ``gap``."""


class SourceCard(StrictConfig):
    """Everything that a reader has to know of a source."""

    title: str
    """The source's name, for people."""
    origin: str
    """Where it is published."""
    licence: str
    """Its licence in words."""
    licence_class: Literal["permissive", "restricted"]
    """``permissive``: a data set made of it may be shipped; ``restricted``: for own use at most."""
    format: Format
    """How its rows are laid out."""
    language: str
    """Language of rows that do not say their own; ``zh`` or ``en`` or another tag."""
    fields: Fields = Fields()
    """Names of the columns."""
    joiner: str = ""
    """What stands between two tokens: nothing in Chinese, a space in English."""
    tag_names: tuple[str, ...] = ()
    """Names of numbered tags, where the file does not carry them."""
    labels: Mapping[str, str] = {}
    """Label → entity type, for labels that stand alone."""
    groups: Mapping[str, Group] = {}
    """Entity type of a merged run → its parts."""
    dropped: Mapping[str, str] = {}
    """Label → why it is no entity of ours."""
    own_labels: bool = False
    """Whether labels that are names of our entity types need no line in ``labels``."""
    labelled: tuple[str, ...] | None = None
    """The entity types that were looked for; None: those that the label map reaches, or with
    ``own_labels`` the default types. Rows may name their own under ``types``."""
    trimmed: Mapping[str, str] = {}
    """Entity type → regular expression of what is cut off the front of its spans (honorifics)."""
    unlabelled_repeats: Literal["keep", "refuse"] = "keep"
    """What to do with a row that labels a value in one place and not in another."""
    notes: str = ""
    """What a user of the source should know."""

    @property
    def types(self) -> tuple[str, ...]:
        """The entity types that the source labels, in taxonomy order."""
        if self.labelled is None and self.own_labels:
            return shipped().default_types
        wanted = self.targets if self.labelled is None else set(self.labelled)
        return tuple(t.name for t in shipped() if t.name in wanted)

    @property
    def targets(self) -> set[str]:
        """The entity types that the label map leads to."""
        parts = (group.parts.values() for group in self.groups.values())
        return {*self.labels.values(), *self.groups}.union(*parts)


def load_card(name: str) -> SourceCard:
    """A shipped card by its name, or a card of one's own by the path of its YAML file.

    Raises ConfigError: there is none, a field is wrong, or it maps to a type that is not in the taxonomy.
    """
    own = name.endswith((".yaml", ".yml"))
    path = Path(name) if own else CARDS / f"{name}.yaml"
    if not own and not path.is_file():
        known = ", ".join(sorted(p.stem for p in CARDS.glob("*.yaml")))
        raise ConfigError(f"no source card named {name!r}; one of {known}, or the path of a .yaml file")
    card = load(path, SourceCard)
    named = card.targets | set(card.labelled or ()) | set(card.trimmed)
    unknown = sorted(name for name in named if name not in shipped())
    if unknown:
        raise ConfigError(f"{path}: names types that the taxonomy lacks: {', '.join(unknown)}")
    return card
