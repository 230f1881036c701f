"""The template files: families of sentences, phrases, label words, records.

A *family* is a scene of life (a lost card, a hospital admission) with its own openings, sentences, plain
sentences and closings; sentences are combined within a family only, so that a family can be kept out of
training as a whole. The files are for linguists: `data_pipeline/templates/README.md` explains them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from configs.errors import ConfigError
from configs.reader import StrictConfig, parse, read_yaml
from data_pipeline.grammar import Slot, Template, compile_template, expand, phrases_of, slots_of
from data_pipeline.values import kinds, providers, slots
from data_pipeline.values.chance import pick
from pii.taxonomy import shipped

FOLDER = Path(__file__).with_name("templates")
LANGUAGES = ("zh", "en")
_SHARED = frozenset({"phrases", "clauses"})


class FamilySource(StrictConfig):
    """One family as its file writes it."""

    carriers: tuple[str, ...]
    """Prose carriers that the sentences suit; names of `data_pipeline.prose.CARRIERS`."""
    openings: tuple[str, ...] = ()
    """What may stand before; empty: the language's phrase list ``opening``."""
    sentences: tuple[str, ...] = ()
    """Sentences that hold at least one value of a person, without a final stop."""
    plain: tuple[str, ...] = ()
    """Sentences of the same scene that hold none."""
    closings: tuple[str, ...] = ()
    """What may stand behind; empty: the phrase list ``closing``."""


class RecordSource(StrictConfig):
    """One kind of record: what a form, a row of a table or a JSON object of a trade holds."""

    domain: str
    """The trade."""
    fields: tuple[str, ...]
    """Slots of a person, the most usual first."""
    others: tuple[str, ...]
    """Slots without a person's data that stand beside them."""


@dataclass(frozen=True, slots=True)
class Family:
    """A compiled family. `id` is ``language.domain.name``."""

    id: str
    language: str
    domain: str
    carriers: tuple[str, ...]
    openings: tuple[Template, ...]
    sentences: tuple[Template, ...]
    plain: tuple[Template, ...]
    closings: tuple[Template, ...]


@dataclass(frozen=True, slots=True)
class Phrasebook:
    """Everything that the template folder holds.

    Attributes:
        families: sentences with values, by id.
        negatives: families whose sentences hold no value of a person.
        phrases: by language and name.
        clauses: what may be put into a real sentence, by language and place.
        label_words: by kind or slot, then by language, or ``key`` for machine-readable names.
        records: by name.
    """

    families: Mapping[str, Family]
    negatives: Mapping[str, Family]
    phrases: Mapping[str, Mapping[str, Sequence[Template]]]
    clauses: Mapping[str, Mapping[str, Sequence[Template]]]
    label_words: Mapping[str, Mapping[str, tuple[str, ...]]]
    records: Mapping[str, RecordSource]

    def labels(self, language: str, kind: str, slot: str) -> tuple[str, ...]:
        """Label words of a kind, else of its slot. `language` may be ``key``."""
        words = self.label_words.get(kind)
        if words is None or language not in words:
            words = self.label_words[slot]
        return words[language]

    def expand(self, language: str, phrase: str, rng: Random) -> list[str | Slot]:
        """One of the phrases of a name, with its alternatives chosen."""
        options = self.phrases[language][phrase]
        return expand(pick(rng, options), self.phrases[language], rng)

    def separators(self, language: str) -> tuple[str, ...]:
        """What stands between a label word and its value; more usual ones several times."""
        return self.label_words["separator"][language]


def _compiled(sources: Sequence[str], where: str) -> tuple[Template, ...]:
    return tuple(compile_template(source, f"{where}[{i}]") for i, source in enumerate(sources))


def _family(language: str, domain: str, name: str, values: Any, file: Path) -> Family:
    where = f"{file}: {name}"
    source = parse(values, FamilySource, where)
    return Family(
        id=f"{language}.{domain}.{name}",
        language=language,
        domain=domain,
        carriers=source.carriers,
        openings=_compiled(source.openings, f"{where}.openings"),
        sentences=_compiled(source.sentences, f"{where}.sentences"),
        plain=_compiled(source.plain, f"{where}.plain"),
        closings=_compiled(source.closings, f"{where}.closings"),
    )


def _families(language: str) -> list[Family]:
    found = []
    for file in sorted((FOLDER / language).glob("*.yaml")):
        if file.stem not in _SHARED:
            for name, values in read_yaml(file).items():
                found.append(_family(language, file.stem, name, values, file))
    return found


def _lists(language: str, name: str) -> dict[str, tuple[Template, ...]]:
    """The named lists of a shared file."""
    file = FOLDER / language / f"{name}.yaml"
    return {key: _compiled(sources, f"{file}: {key}") for key, sources in read_yaml(file).items()}


def _check(family: Family, phrases: Mapping[str, Sequence[Template]]) -> None:
    """Refuse unknown slots, kinds and phrases when the files are read, not at the millionth document.

    A plain sentence may hold optional types and look-alikes, never a type that is extracted by default.
    """
    known_slots, known_kinds = set(slots()), set(kinds())
    for template in (*family.openings, *family.sentences, *family.plain, *family.closings):
        for slot in slots_of(template):
            if slot.name not in known_slots or (slot.kind and slot.kind not in known_kinds):
                raise ConfigError(f"{family.id}: no provider for the slot {slot.name} {slot.kind}".rstrip())
        if unknown := phrases_of(template) - set(phrases):
            raise ConfigError(f"{family.id}: no phrases named {', '.join(sorted(unknown))}")
    for slot in set[Slot]().union(*map(slots_of, family.plain)):
        if any(p.type in shipped().default_types for p in providers(slot.name)):
            raise ConfigError(f"{family.id}: a plain sentence shows the slot {slot.name}")


@functools.cache
def phrasebook() -> Phrasebook:
    """Read and check all template files. Raises ConfigError with file and place."""
    phrases = {language: _lists(language, "phrases") for language in LANGUAGES}
    clauses = {language: _lists(language, "clauses") for language in LANGUAGES}
    families: dict[str, Family] = {}
    negatives: dict[str, Family] = {}
    for language in LANGUAGES:
        for family in _families(language):
            _check(family, phrases[language])
            (negatives if family.domain == "negatives" else families)[family.id] = family
    labels = {
        kind: {language: tuple(words) for language, words in by_language.items()}
        for kind, by_language in read_yaml(FOLDER / "labels.yaml").items()
    }
    file = FOLDER / "records.yaml"
    records = {n: parse(v, RecordSource, f"{file}: {n}") for n, v in read_yaml(file).items()}
    return Phrasebook(families, negatives, phrases, clauses, labels, records)
