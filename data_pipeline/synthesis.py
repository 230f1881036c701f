"""Synthetic documents: text that is written from pieces, so that its spans are right by construction.

A document depends on the configuration, the seed and its index alone: any number of workers gives the
same bytes. Its steps: choose language and family or record; draw people and values; write them into
sentences and a carrier; choose a surface form; spoil it a little; join.

Which types are labelled. A document labels the default types (``types`` is None), or, by the share
``all_types``, every type of the taxonomy, named in ``types``: every place, organisation, date, web address
and attribute that a template shows is a slot, and so is registered. Text of a URL query labels what stands
inside the address, and then does not count URL among its types.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from configs.errors import ConfigError
from data_pipeline.ambiguity import is_ambiguous
from data_pipeline.casting import PEOPLE_KNOWN, cast_people, clear_run
from data_pipeline.cells import FormChoice, cell_weights, suits
from data_pipeline.grammar import Template, expand
from data_pipeline.insertion import insert_clause
from data_pipeline.noise import NOISES
from data_pipeline.phrasebook import Family, phrasebook
from data_pipeline.prose import CARRIERS, Unit, compose
from data_pipeline.records import ESCAPES, LAYOUTS, draw_rows
from data_pipeline.scene import Piece, Scene, assemble, skeleton
from data_pipeline.surface import BARE, FORMS, apply_form, types_in_form
from data_pipeline.synthesis_recipe import SynthesisConfig
from data_pipeline.values.chance import Weighted, pick
from pii.spans import Document
from pii.taxonomy import shipped

_ATTEMPTS = 12
_CAST, _CLAUSE = 0.7, 0.3
"""Parts of the unlabelled real texts whose pronouns become people, and into which a clause is put."""
_DRAFTS_FOR_FORM = 6
"""Texts that are drawn for a form before one that suits the last of them is taken instead."""


class Synthesiser:
    """Makes documents one by one; `config` and `seed` decide all of them.

    Raises ConfigError: the configuration names a form, carrier, noise or family that does not exist.
    """

    def __init__(self, config: SynthesisConfig, seed: int) -> None:
        self.config, self.seed = config, seed
        self._book = phrasebook()
        _check_names("forms", config.forms, {BARE, *FORMS})
        _check_names("cells", config.cells, {*CARRIERS, *LAYOUTS})
        for carrier, forms in config.cells.items():
            _check_names(f"cells.{carrier}", forms, {BARE, *FORMS})
        _check_names("carriers", config.carriers, {*CARRIERS, *LAYOUTS})
        _check_names("noises", config.noises, {"none", *NOISES})
        _check_names("foreign_carriers", config.foreign_carriers, {*CARRIERS, *LAYOUTS})
        families = {*self._book.families, *self._book.negatives, *(f"record.{r}" for r in self._book.records)}
        _check_names("foreign_families", config.foreign_families, families)
        self._languages = Weighted(dict(config.languages))
        self._carriers = {foreign: _carriers(config, foreign) for foreign in (False, True)}
        self._suited: dict[tuple[str | bool, ...], tuple[Family, ...]] = {}
        self._noises = Weighted(dict(config.noises))
        self._all_types = tuple(t.name for t in shipped())
        self._default_types = shipped().default_types
        self._forms = form_choices(config)

    def document(self, index: int) -> Document:
        """The document of this index; its id is ``synthetic-<index>``."""
        rng = Random(f"{self.seed}:{index}")
        for _ in range(_ATTEMPTS):
            made = self._draft(rng, f"synthetic-{index}")
            if not is_ambiguous(made.text, made.spans):
                return made
        # Twelve in a row are not expected of any configuration that was tried; a text without entities
        # is never ambiguous, and counts among the negatives.
        return self._draft(rng, f"synthetic-{index}", empty=True)

    def documents(self, start: int, count: int) -> Iterator[Document]:
        """The documents from index `start` on."""
        return (self.document(index) for index in range(start, start + count))

    def insert_into(self, sentence: Document, index: int) -> Document:
        """A real text with values in it; its own labels stay, and it comes back as it is where nothing fits.

        A clause that holds values (`data_pipeline.insertion`). Where nothing is labelled, and it is known who
        is named, people, too, who take the parts of pronouns (`data_pipeline.casting`).
        """
        rng = Random(f"{self.seed}:insertion:{index}")
        book, forms, reserved = self._book, self.config.forms, self.config.reserved
        known = sentence.types == () and sentence.meta.get(PEOPLE_KNOWN)
        run = clear_run(sentence, rng) if known else None
        if run is None:
            return insert_clause(sentence, rng, book, forms, reserved=reserved)
        made = cast_people(run, rng, book, forms, reserved=reserved) if rng.random() < _CAST else run
        return insert_clause(made, rng, book, forms, reserved=reserved) if rng.random() < _CLAUSE else made

    def _draft(self, rng: Random, name: str, *, empty: bool = False) -> Document:
        config = self.config
        language = self._languages.draw(rng)
        foreign = rng.random() < config.foreign
        anonymous = empty or rng.random() < config.no_entity
        carrier = self._carriers[foreign].draw(rng)
        types = self._default_types if empty else self._types(rng, carrier)
        form = BARE if anonymous else self._forms[carrier].draw(rng)
        for _ in range(_DRAFTS_FOR_FORM):
            family, domain, pieces = self._write(self._scene(rng, language), carrier, foreign, anonymous)
            shape = skeleton(pieces)
            pieces = [p if p.type in types else replace(p, type=None) for p in pieces]
            if suits(form, pieces):
                break
        else:
            form = self._forms[carrier].instead(pieces, rng)
        written = apply_form(pieces, form, rng) if form != BARE else pieces
        spelled = [] if anonymous else types_in_form(pieces, written, form)
        pieces, noise = self._finish(written, carrier, rng)
        text, spans, decoys = assemble(pieces)
        meta = {
            "template": family,
            "skeleton": shape,
            "domain": domain,
            "form": form,
            "form_types": spelled,
            "carrier": carrier,
            "noise": noise,
            "foreign": self._is_foreign(family, carrier),
            "decoys": [list(d) for d in decoys],
        }
        return Document(
            text=text,
            spans=spans,
            id=name,
            source="synthetic",
            language=language,
            types=None if types == self._default_types else types,
            meta=meta,
        )

    def _scene(self, rng: Random, language: str) -> Scene:
        own = language if language != "mixed" else pick(rng, ("zh", "zh", "en"))
        people = own if language != "mixed" or rng.random() < 0.35 else "en" if own == "zh" else "zh"
        return Scene(rng, own, people, self._book, self.config.reserved, label_both=language == "mixed")

    def _is_foreign(self, family: str, carrier: str) -> bool:
        return family in self.config.foreign_families or carrier in self.config.foreign_carriers

    def _families(self, *key: str | bool) -> tuple[Family, ...]:
        if key not in self._suited:
            self._suited[key] = self._suiting(*key)  # type: ignore[arg-type]
        return self._suited[key]

    def _suiting(
        self, language: str, carrier: str, foreign: bool, anonymous: bool, hard: bool
    ) -> tuple[Family, ...]:
        """Families that suit the language and, where there are such, the carrier.

        foreign: the set-aside families; where the carrier itself is set aside, the others.
        """
        config = self.config
        pool = self._book.negatives if hard else self._book.families
        own = [f for f in pool.values() if f.language == language and (f.plain if anonymous else f.sentences)]
        aside = foreign and carrier not in config.foreign_carriers
        own = [f for f in own if (f.id in config.foreign_families) == aside]
        return tuple(f for f in own if carrier in f.carriers) or tuple(own)

    def _write(
        self, scene: Scene, carrier: str, foreign: bool, anonymous: bool
    ) -> tuple[str, str, list[Piece]]:
        """Family id, domain and the pieces of a text."""
        if carrier in LAYOUTS:
            return self._write_record(scene, carrier, foreign, anonymous)
        hard = anonymous and scene.rng.random() < self.config.negative_families
        families = self._families(scene.language, carrier, foreign, anonymous, hard)
        if not families:
            families = self._families(scene.language, carrier, False, anonymous, hard)
        family = pick(scene.rng, families)
        scene.anonymous = anonymous
        units = _units(scene, family, anonymous)
        return family.id, family.domain, compose(scene, carrier, units)

    def _write_record(
        self, scene: Scene, carrier: str, foreign: bool, anonymous: bool
    ) -> tuple[str, str, list[Piece]]:
        held = [n for n in self._book.records if f"record.{n}" in self.config.foreign_families]
        names = (
            held
            if foreign and held and carrier not in self.config.foreign_carriers
            else [n for n in self._book.records if n not in held]
        )
        name = pick(scene.rng, names)
        source = self._book.records[name]
        scene.anonymous = anonymous
        rows = draw_rows(scene, source, carrier, anonymous=anonymous)
        return f"record.{name}", source.domain, LAYOUTS[carrier](scene, rows)

    def _finish(self, pieces: list[Piece], carrier: str, rng: Random) -> tuple[list[Piece], str]:
        """Escape values in structured carriers, spoil prose; returns the name of the noise too."""
        if carrier in LAYOUTS:
            write = ESCAPES.get(carrier)
            return (
                [replace(p, text=write(p.text)) if p.kind else p for p in pieces] if write else pieces
            ), "none"
        noise = self._noises.draw(rng)
        return (NOISES[noise](pieces, rng) if noise != "none" else pieces), noise

    def _types(self, rng: Random, carrier: str) -> tuple[str, ...]:
        """Which types the document labels, in taxonomy order."""
        if rng.random() >= self.config.all_types:
            return self._default_types
        return tuple(t for t in self._all_types if carrier != "url" or t != "URL")


def form_choices(config: SynthesisConfig) -> dict[str, FormChoice]:
    """Carrier → the forms of its texts. Raises ConfigError where no form of a carrier has a share."""
    weights = cell_weights(tuple(config.carriers), config.forms, config.cells)
    for carrier, forms in weights.items():
        if not any(weight > 0 for weight in forms.values()):
            raise ConfigError(f"synthesis.cells.{carrier}: no form that it can hold has a share")
    return {carrier: FormChoice(forms) for carrier, forms in weights.items()}


_FOREIGN_CARRIERS_OF_FOREIGN = 0.4


def _carriers(config: SynthesisConfig, foreign: bool) -> Weighted[str]:
    """Carriers of own documents; of foreign ones, which lean to the carriers that are set aside."""
    own = {c: w for c, w in config.carriers.items() if c not in config.foreign_carriers}
    aside = {c: w for c, w in config.carriers.items() if c in config.foreign_carriers}
    if not own or not aside or not foreign:
        return Weighted(own or aside)
    share = _FOREIGN_CARRIERS_OF_FOREIGN
    leaning = share / (1 - share) * sum(own.values()) / sum(aside.values())
    return Weighted(own | {carrier: weight * leaning for carrier, weight in aside.items()})


def _check_names(field: str, names: object, known: set[str]) -> None:
    assert isinstance(names, dict | tuple)
    unknown = sorted(set(names) - known)
    if unknown:
        raise ConfigError(
            f"synthesis.{field}: {unknown[0]} does not exist; one of {', '.join(sorted(known))}"
        )


_SENTENCE_COUNTS = Weighted({1: 42, 2: 30, 3: 15, 4: 7, 5: 3, 7: 2, 10: 1})


def _units(scene: Scene, family: Family, anonymous: bool) -> list[Unit]:
    """Opening, sentences, plain sentences between them, closing; each part may be missing."""
    rng, phrases = scene.rng, scene.book.phrases[scene.language]
    source = family.plain if anonymous else family.sentences
    count = min(_SENTENCE_COUNTS.draw(rng), len(source))
    chosen: list[tuple[Template, bool]] = [(t, True) for t in rng.sample(source, count)]
    if family.plain and not anonymous:
        for _ in range(int(rng.random() * 1.5 * (1 + count / 3))):
            chosen.insert(int(rng.random() * (len(chosen) + 1)), (pick(rng, family.plain), False))
    units: list[Unit] = []
    for template, personal in chosen:
        # A later sentence may speak of somebody else.
        shift = 1 if personal and units and rng.random() < 0.22 else 0
        unit = scene.fill(expand(template, phrases, rng), shift)
        if units and rng.random() < 0.12:
            unit = [*scene.fill(scene.book.expand(scene.language, "connector", rng)), *unit]
        units.append(unit)
    # A single message comes without ceremony more often than not.
    ceremony = 0.6 if count == 1 else 1.0
    if rng.random() < 0.42 * ceremony:
        options = phrases["opening"] if anonymous or not family.openings else family.openings
        units.insert(0, scene.fill(expand(pick(rng, options), phrases, rng)))
    if rng.random() < 0.35 * ceremony:
        options = phrases["closing"] if anonymous or not family.closings else family.closings
        units.append(scene.fill(expand(pick(rng, options), phrases, rng)))
    return [[p for p in unit if p.text] for unit in units if any(p.text for p in unit)]
