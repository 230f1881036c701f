"""``pii data matrix``: which share of each kind of value, in each surface form, the recognisers find.

A *cell* is a kind of value of a closed type (`data_pipeline.values`) in one form (`data_pipeline.surface`, or
``bare``). Its values stand in a neutral carrier with what a reader needs to decide, and count as found where
a match covers exactly the value, with its type.

| a value                                    | behind a label | because                          |
|--------------------------------------------|----------------|----------------------------------|
| of a kind in `SELF_PROVING`                | no             | checksum, prefix or shape say it |
| of these, line-broken, not `PROVED_WHOLE`  | yes            | its parts look like two values   |
| of any other kind                          | yes            | such characters are anybody's    |

The label words are those of the templates (`data_pipeline/templates/labels.yaml`) in the text's language,
without the ones that introduce several types (``ID``, ``账号``, `_AMBIGUOUS`): these decide nothing.

Left out, since any string may be one: USERNAME, and the kinds in `_FREE`. Left out too: DATE_TIME, which is
words of the language and no identifier.

`HARD` names the forms that may destroy what proves a value: their cells are measured and held to nothing.
"""

from __future__ import annotations

import functools
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from random import Random

from configs import command
from data_pipeline.phrasebook import phrasebook
from data_pipeline.scene import Piece
from data_pipeline.surface import BARE, FORMS
from data_pipeline.values import Draw, Value, draw_value, providers, slots
from data_pipeline.values.chance import pick
from data_pipeline.values.people import Person, draw_person
from data_pipeline.values.registry import Provider
from pii.identifiers import closed_types
from pii.patterns import find
from pii.taxonomy import shipped

HARD = frozenset({"masked", "ocr"})
"""Forms that hide or falsify characters: what is left may prove nothing."""

SELF_PROVING = frozenset(
    {
        *("cn_mobile", "cn_landline", "cn_resident_id", "email", "cn_card", "western_card", "iban", "uscc"),
        *("cn_plate", "vin", "imei", "mac", "ipv4", "ipv6", "bitcoin", "tron", "ethereum", "jwt", "url"),
        *("tw_id", "es_dni", "geo"),
    }
)
"""Kinds that a machine can tell without any word around them."""

PROVED_WHOLE = frozenset(
    {*("cn_mobile", "cn_resident_id", "cn_card", "western_card", "vin", "imei", "cn_landline", "cn_plate")}
)
"""Of these, the kinds whose fixed length or checksum proves them across a line break."""

_CARRIERS: Mapping[str, tuple[str, ...]] = {
    "zh": ("请记一下{}，谢谢", "刚刚收到的是{}，麻烦核对", "（{}）", "{}"),
    "en": ("please note {}, thanks", "it says {}, as you know", "({})", "{}"),
}
_COLON = {"zh": "：", "en": ": "}
_LEFT_OUT = frozenset({"USERNAME", "DATE_TIME"})
_AMBIGUOUS = frozenset({"code", "send it to", "registration number"})
"""Label words that introduce one type in the templates and other things in the world."""
_FREE = frozenset({"password", "payment_handle"})
_POPULATION = 6000


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: a kind of value, its type, one of its forms."""

    kind: str
    type: str
    form: str

    @property
    def required(self) -> bool:
        """Whether the recognisers are held to find its values."""
        return self.form not in HARD

    @property
    def labelled(self) -> bool:
        """Whether its values stand behind a label word."""
        return self.kind not in SELF_PROVING or (self.form == "line_broken" and self.kind not in PROVED_WHOLE)


@dataclass(frozen=True, slots=True)
class Result:
    """What was found of a cell. `missed`: shapes of the values that were not, with their number."""

    cell: Cell
    count: int
    found: int
    missed: Mapping[str, int]

    @property
    def recall(self) -> float:
        """Share of the values that were found exactly; 1 where no value could take the form."""
        return self.found / self.count if self.count else 1.0


@functools.cache
def _providers() -> Mapping[str, tuple[str, Provider]]:
    """Kind → its slot and provider, for closed types."""
    wanted = set(closed_types()) - _LEFT_OUT
    return {
        p.kind: (slot, p)
        for slot in slots()
        for p in providers(slot)
        if p.type in wanted and p.kind not in _FREE
    }


def cells() -> tuple[Cell, ...]:
    """The whole matrix: every kind bare, and in each form that suits it."""
    return tuple(
        Cell(kind, str(provider.type), form)
        for kind, (_, provider) in _providers().items()
        for form in (BARE, *(name for name, row in FORMS.items() if kind in row.kinds))
    )


@functools.cache
def _people(kind: str) -> tuple[tuple[str, Person], ...]:
    """Languages and people of the `_POPULATION` who may hold a value of the kind."""
    _, provider = _providers()[kind]
    return tuple((language, p) for language, p in _everybody() if provider.weight(p.region, language) > 0)


@functools.cache
def _everybody() -> tuple[tuple[str, Person], ...]:
    rng = Random("people of the matrix")
    return tuple((language, draw_person(rng, language)) for language in ("zh", "en") * (_POPULATION // 2))


def _draw(kind: str, rng: Random) -> tuple[str, Value]:
    """A language and a value of the kind, of a person who may hold one."""
    slot, _ = _providers()[kind]
    language, person = pick(rng, _people(kind))
    return language, draw_value(slot, Draw(rng, person, language, reserved=False), kind)


@functools.cache
def _types_of_words() -> Mapping[str, frozenset[str]]:
    """Label word → the types that the templates introduce with it."""
    book, types = phrasebook(), dict[str, set[str]]()
    for slot in slots():
        for provider in providers(slot):
            for name in {slot, provider.kind} & set(book.label_words):
                for word in (w for language in ("zh", "en") for w in book.label_words[name][language]):
                    types.setdefault(word.casefold(), set()).add(provider.type or "")
    return {word: frozenset(names) for word, names in types.items()}


def _decides(word: str) -> bool:
    return len(word) > 1 and len(_types_of_words()[word]) == 1 and word not in _AMBIGUOUS


@functools.cache
def _labels(kind: str, language: str) -> tuple[str, ...]:
    """Label words of a kind that introduce its type and no other; the other language's where one has none."""
    slot, _ = _providers()[kind]
    for words in (
        phrasebook().labels(language, kind, slot),
        phrasebook().labels("en", kind, slot),
        phrasebook().labels("zh", kind, slot),
    ):
        if clear := tuple(w for w in words if _decides(w.casefold())):
            return clear
    raise AssertionError(f"no label word for {kind} decides its type")


def samples(cell: Cell, count: int, seed: int) -> Iterator[tuple[str, int, int]]:
    """Texts of the cell with their value's place; fewer than `count` where values rarely suit the form."""
    rng = Random(f"{seed}:{cell.kind}:{cell.form}")
    row = FORMS.get(cell.form)
    made = 0
    for _ in range(20 * count):
        if made == count:
            return
        language, value = _draw(cell.kind, rng)
        written = value.text
        if row is not None:
            if not row.suits(Piece(written, value.type, value.kind)):
                continue
            written = row.form(written, value.kind, rng)
        before, after = pick(rng, _CARRIERS[language]).split("{}")
        if cell.labelled:
            before += pick(rng, _labels(cell.kind, language)) + _COLON[language]
        made += 1
        yield before + written + after, len(before), len(before) + len(written)


def shape_of(written: str) -> str:
    """A value's shape: ``d`` digit, ``a`` and ``A`` letter, ``汉`` Chinese character; marks as they are."""
    shape = re.sub(r"[^\W\d_a-zA-Z]", "汉", written)
    shape = re.sub(r"[0-9]", "d", shape)
    return re.sub(r"[b-ce-z]", "a", re.sub(r"[B-Z]", "A", shape)).replace("\r", "⏎").replace("\n", "⏎")


def measure(cell: Cell, count: int, seed: int = 0) -> Result:
    """Recall of the recognisers in one cell, over up to `count` values; `seed` decides which."""
    types = shipped().resolve({*shipped().default_types, cell.type})
    num_made = num_found = 0
    missed: Counter[str] = Counter()
    for text, start, end in samples(cell, count, seed):
        num_made += 1
        if any((m.span.start, m.span.end, m.span.type) == (start, end, cell.type) for m in find(text, types)):
            num_found += 1
        else:
            missed[shape_of(text[start:end])] += 1
    return Result(cell, num_made, num_found, dict(missed))


def table(results: Iterable[Result], most_shapes: int = 3) -> Iterator[str]:
    """Lines for a reader: each cell's recall and the commonest shapes of what was missed."""
    for result in results:
        cell = result.cell
        shapes = sorted(result.missed.items(), key=lambda item: -item[1])[:most_shapes]
        listed = "; ".join(f"{num} × {shape}" for shape, num in shapes)
        how = "label" if cell.labelled else "alone"
        yield f"{cell.kind:22} {cell.form:14} {how:6} {result.recall:7.1%} of {result.count:4}  {listed}"


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = command.parser("pii data matrix", __doc__ or "")
    parser.add_argument("--count", type=int, default=500, help="values for each cell")
    parser.add_argument("--seed", type=int, default=0, help="which values are drawn")
    arguments = parser.parse_args(argv)

    def body() -> int:
        results = [measure(cell, arguments.count, arguments.seed) for cell in cells()]
        for line in table(sorted(results, key=lambda result: (result.recall, result.cell.kind))):
            sys.stdout.write(line + "\n")
        required = [result for result in results if result.cell.required]
        low = sum(result.recall < 0.99 for result in required)
        sys.stdout.write(f"{len(required)} cells to be found, {low} of them under 99 %\n")
        return 0

    return command.run(body)


if __name__ == "__main__":
    sys.exit(main())
