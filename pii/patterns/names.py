"""Names of people where a label, a title or a phrase of introduction gives them away.

Rules cannot find names in free text; that is the model's work. These few are so precise that a document
may be redacted by them: ``姓名：张三``, ``我叫张三``, ``刘伟先生``, ``Name: John Smith``, ``Mr. Smith``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from configs.reader import StrictConfig, parse, read_yaml
from pii.patterns.labels import Label, trie_pattern
from pii.patterns.relaxed import one_of, relaxed
from pii.patterns.scanned import Candidate, Scanned
from pii.patterns.vocabulary import apart


class _Table(StrictConfig):
    single: str
    compound: tuple[str, ...]
    not_names: tuple[str, ...]
    after: tuple[str, ...]
    titles: tuple[str, ...]
    not_english: tuple[str, ...]


@dataclass(frozen=True)
class _Words:
    single: frozenset[str]
    compound: frozenset[str]
    not_names: tuple[str, ...]
    after: re.Pattern[str]
    titles: frozenset[str]
    title: re.Pattern[str]
    not_english: frozenset[str]


@functools.cache
def _words() -> _Words:
    table = parse(read_yaml(Path(__file__).with_name("names.yaml")), _Table, "names.yaml")
    return _Words(
        frozenset(table.single),
        frozenset(table.compound),
        table.not_names,
        re.compile(trie_pattern(table.after)),
        frozenset(table.titles),
        re.compile(trie_pattern(table.titles)),
        frozenset(table.not_english),
    )


def titles() -> frozenset[str]:
    """The Chinese titles that stand behind a name, such as 先生 and 医生."""
    return _words().titles


def title_pattern() -> re.Pattern[str]:
    """A search for the longest title."""
    return _words().title


HAN = r"[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0002ebef]"
"""A Chinese character, as a regular expression."""
_HAN_RUN = re.compile(rf"{HAN}{{2,12}}")
_MINORITY = re.compile(rf"{HAN}{{2,8}}·{HAN}{{2,8}}(?:·{HAN}{{1,8}})?(?!{HAN})")
_JOIN_ZH = re.compile(
    r"[\"'”」』】\]]?[ \t]{0,4}(?:\([^()\n]{1,8}\)[ \t]{0,2})?"
    r"(?P<said>[:=|>]|是|为|叫(?:做|作)?)?[ \t]{0,4}[\"'“「『【\[]?"
)
_CAPITAL, _SMALL = r"[A-Z\u00c0-\u00de]", r"[a-z\u00df-\u024f'’]"
_TITLE_CASE = rf"{_CAPITAL}{_SMALL}{{1,20}}(?:[A-Z][a-z]{{2,15}})?(?:-{_CAPITAL}{_SMALL}{{1,20}})?"
_LAST_NAME = rf"(?:O['’]|Mc|Mac)?{_TITLE_CASE}"
_ENGLISH = re.compile(
    rf"(?:(?:Mr|Mrs|Ms|Miss|Dr|Prof)\.? )?(?P<name>"
    rf"{_TITLE_CASE}(?: (?:[A-Z]\.?|van|von|de|der|den|la|le|bin|al|{_TITLE_CASE})){{0,2}} {_LAST_NAME}"
    rf"|{_TITLE_CASE})(?![A-Za-z])"
)
_JOIN_EN = re.compile(r"[\"'\]]?[ \t]{0,3}(?:[:=>]|\bis\b)[ \t]{0,3}[\"'\[]?")
_WORD_OF_NAME = r"[A-Za-z\u00c0-\u024f][A-Za-z\u00c0-\u024f'’.-]{1,24}"
_SEVERAL_WORDS = rf"{_WORD_OF_NAME}(?:,? {_WORD_OF_NAME}){{1,3}}"
_ENCLOSED = re.compile(rf"(?<=[\"'>])(?P<name>{_SEVERAL_WORDS})(?=[\"'<])")
_ENTRY = re.compile(_SEVERAL_WORDS)
"""Between the quotation marks or tags of a record a name may be written in small letters or capitals."""
_WITH_TITLE = re.compile(
    r"[MDP](?<![A-Za-z].)(?:r|rs|s|iss|rof)\.? "
    rf"(?P<name>(?:{_TITLE_CASE} |[A-Z]\. ){{0,2}}{_LAST_NAME})(?![A-Za-z])"
)

_STRONG_LABELS = frozenset({"我叫", "我的名字叫", "我的名字是", "名叫", "名字叫"})


def find_names(scanned: Scanned) -> Iterator[Candidate]:
    """Names behind labels in both languages, and before or behind titles."""
    for label in scanned.labels.all:
        if "PERSON_NAME" not in label.types:
            continue
        # A label of one language may announce a name in the other: where a mark or verb says so.
        if scanned.text[label.start].isascii():
            yield from _english_after(scanned, label)
            yield from _chinese_after(scanned, label, only_said=True)
        else:
            yield from _chinese_after(scanned, label)
            yield from _english_after(scanned, label)
    yield from _before_titles(scanned)
    yield from _before_mobiles(scanned)
    for found in _WITH_TITLE.finditer(scanned.text):
        if not _words().not_english.intersection(found["name"].split()):
            yield _name(*found.span("name"), "english_name_after_title")


def anywhere() -> Iterator[str]:
    """What stands in every text in which a name is found without a label, for `pii.patterns.sieve`."""
    words = _words()
    families = one_of((*words.compound, *(words.single - _FUNCTION_SURNAMES)))
    yield f"{families}{relaxed(_GIVEN, to_end=True)}{one_of(words.titles)}"
    yield f"{relaxed(_NAME_BEFORE, to_end=True)}{relaxed(_MOBILE)}"
    yield relaxed(_WITH_TITLE)


def behind(types: Iterable[str]) -> Iterator[str]:
    """What stands behind a label where it gives a name away, for `pii.patterns.sieve`."""
    if "PERSON_NAME" not in types:
        return
    words = _words()
    families = one_of((*words.compound, *words.single))
    ends = rf"{relaxed(f'[^{HAN[1:]}')}|\z|{relaxed(words.after)}"
    chinese = f"{families}{relaxed(HAN)}{{1,2}}(?:{ends})"
    yield f"{relaxed(_JOIN_ZH, to_end=True)}{chinese}"
    english = "|".join(relaxed(form) for form in (_ENGLISH, _ENCLOSED))
    yield f"(?:{relaxed(_JOIN_EN, to_end=True)}| ?)(?:{english})"


def dotted() -> str:
    """As `behind`, for names with a dot in them."""
    return relaxed(_JOIN_ZH, to_end=True) + relaxed(_MINORITY)


def _name(start: int, end: int, rule: str) -> Candidate:
    return Candidate(start, end, "PERSON_NAME", rule, "context", None, True)


@functools.cache
def not_names() -> frozenset[str]:
    """Words that begin with a family name and are none: 任何, 高兴."""
    return frozenset(_words().not_names)


def surname_length(run: str) -> int:
    """2 for a compound family name at the start of the run, 1 for a single one, 0 for none."""
    words = _words()
    if run[:2] in words.compound:
        return 2
    return 1 if run[:1] in words.single else 0


def is_family_and_given(name: str) -> bool:
    """Whether it reads as a Chinese family name with one or two further characters, and as no word."""
    family = surname_length(name)
    return bool(family and _GIVEN.fullmatch(name, family)) and _is_name(name, name)


def is_written_name(text: str, *, small: bool) -> bool:
    """Whether all of a text reads as a name of either language.

    Args:
        text: what fills a field for names.
        small: whether an English one may be written in small letters or in capitals.
    """
    if _words().not_english.intersection(text.title().split()):
        return False
    forms = (_MINORITY, _ENGLISH, _ENTRY) if small else (_MINORITY, _ENGLISH)
    return is_family_and_given(text) or any(form.fullmatch(text) for form in forms)


def _is_name(name: str, run: str) -> bool:
    """Whether no word of the language begins where the name begins."""
    return len(name) > 1 and not run.startswith(_words().not_names)


def _chinese_after(scanned: Scanned, label: Label, *, only_said: bool = False) -> Iterator[Candidate]:
    text = scanned.text
    join = _JOIN_ZH.match(text, label.end)
    assert join is not None  # it matches the empty string
    begin = join.end()
    said = bool(join["said"])
    if only_said and not said:
        return
    if minority := _MINORITY.match(text, begin):
        # A title that stands first is no end of the name: 医生古丽·买买提.
        title = _words().title.search(text, begin + 1, minority.end())
        yield _name(begin, title.start() if title else minority.end(), "minority_name_after_label")
        return
    found = _HAN_RUN.match(text, begin)
    if not found:
        return
    run = found[0]
    if text[found.end() : found.end() + 1] == "·":
        return
    complete = found.end() == len(text) or not re.match(HAN, text[found.end()])
    introduced = text[label.start : label.end] in _STRONG_LABELS
    length = _name_length(run, complete, said or introduced)
    if length:
        yield _name(begin, begin + length, "chinese_name_after_label")


def _name_length(run: str, complete: bool, said: bool) -> int:
    """How much of a run of Chinese characters is the name; 0 where it is none.

    Args:
        run: the Chinese characters behind the label.
        complete: whether the run ends at a mark, a digit or the end, and not at the limit of the search.
        said: whether a colon or verb announces the name, so that the run is one if its length fits.
    """
    family = surname_length(run)
    if not family:
        return 0
    whole = complete and family + 1 <= len(run) <= family + 2
    if whole and _is_name(run, run) and (said or not _words().after.match(run, len(run) - 1)):
        return len(run)
    if not said and run[0] in _FUNCTION_SURNAMES:
        return 0
    for length in (family + 2, family + 1):
        if len(run) > length and _words().after.match(run, length) and _is_name(run[:length], run):
            # "王芳在": the longer reading must not swallow the word that ends the shorter one.
            if length == family + 2 and _words().after.match(run, family + 1):
                continue
            return length
    return 0


# "卡洛斯·马德里先生": the end of a transliterated name is not the whole of it.
_FOREIGN_END = re.compile(rf"·{HAN}{{1,7}}$")


def _before_titles(scanned: Scanned) -> Iterator[Candidate]:
    text = scanned.text
    known = titles()
    for end, _, _ in apart(place for place in scanned.places if place.word in known):
        if _FOREIGN_END.search(text, max(0, end - 8), end):
            continue
        for length in (4, 3, 2):
            start = end - length
            if start < 0:
                continue
            name = text[start:end]
            if name[0] not in _FUNCTION_SURNAMES and is_family_and_given(name):
                yield _name(start, end, "chinese_name_before_title")
                break


_FUNCTION_SURNAMES = frozenset(
    "于和向从与由对在给为是有时成任全应单解原来连万方许何曾安关常边文高白闻查冷强满"
)
"""Family names that are mostly other words: before a title, or behind a label without a colon, they do not
begin a name."""

_GIVEN = re.compile(
    r"(?:(?![的了是系院组部学司总副间校厂科室局队会着过村镇县市区国家员老各位])[\u4e00-\u9fff]){1,2}"
)
"""Given names: what offices, institutions and grammar put before a title is none."""


_MOBILE = re.compile(
    r"[+0186](?<![0-9A-Za-z+][+0186])(?:(?:(?<=\+)|(?<=0)0)?(?:86|(?<=8)6)[ -]?1|(?<=1))"
    r"[3-9][0-9][ -]?[0-9]{4}[ -]?[0-9]{4}(?![0-9])"
)
_NAME_BEFORE = re.compile(rf"(?<!{HAN})(?<!·)(?P<name>{HAN}{{2,4}})[ \t:,，、(/-]{{0,3}}$")


def _before_mobiles(scanned: Scanned) -> Iterator[Candidate]:
    """``张三 13800138000``: how lists of contacts are written."""
    for (begin, stop, end), num_digits, _ in scanned.regions.runs():
        if num_digits < 11:
            continue
        for mobile in _MOBILE.finditer(scanned.text, begin, end):
            if mobile.start() >= stop:
                break
            found = _NAME_BEFORE.search(scanned.text, max(0, mobile.start() - 8), mobile.start())
            if found is None:
                continue
            name = found["name"]
            if is_family_and_given(name):
                yield _name(*found.span("name"), "chinese_name_before_mobile")


def _english_after(scanned: Scanned, label: Label) -> Iterator[Candidate]:
    text = scanned.text
    join = _JOIN_EN.match(text, label.end)
    begin = join.end() if join else label.end
    if not join and scanned.lower.endswith(" is", 0, label.end):
        begin += text[begin : begin + 1] == " "
    elif not join:
        return
    found = _ENGLISH.match(text, begin)
    if not found and tells_of_people(scanned.lower[label.start : label.end]):
        found = _ENCLOSED.match(text, begin)
    if not found or _words().not_english.intersection(found["name"].title().split()):
        return
    if " " not in found["name"] and _SPEECH.match(text, found.end()):
        return
    yield _name(*found.span("name"), "english_name_after_label")


_SPEECH = re.compile(r" [a-z]")
"""``Guest: Good evening``: one word with a capital is how any sentence begins."""


def tells_of_people(label: str) -> bool:
    """Whether a label, in lower case, says that the name is a person's: ``name`` may be anything's."""
    return label not in ("name", "contact", "author", "maintainer")
