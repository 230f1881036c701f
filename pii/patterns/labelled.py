"""Values that only a label gives away: what stands right after ``QQ：``, ``密码是``, ``My SSN is``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from pii.identifiers import Verdict, check
from pii.identifiers.contact import is_hotline
from pii.patterns.fields import FIELDS, Field
from pii.patterns.labels import Label, is_label, not_values
from pii.patterns.relaxed import relaxed
from pii.patterns.scanned import Candidate, Scanned

# Between a label and its value: at most a bracketed remark, some filler words and marks. Bounded.
_FILLER = (
    r"#(?=[ :0-9])|[:=|>*`\"'“”‘’「」『』【】\[{、]|\((?!\+?[0-9]{2,4}\))|->|→|--?(?=[ \d])"
    r"|是|为|叫|改[为成]|变更为|更新为|号码?|账号|帐号|码|地址"
    r"|(?:id|no|num|number|is|was|are|at|of|to|now|here|on|set|in|ending)(?![a-z])\.?"
)
JOIN = re.compile(
    r"\.?[ \t]{0,3}(?:\([^()\n0-9]{1,16}\)[ \t]{0,3})?"
    rf"(?:(?:{_FILLER})[ \t]{{0,3}}){{0,5}}(?:\r?\n[ \t]{{0,4}})?"
)
# A straight quotation mark right behind the label may be its own closing one.
_ASSIGNS = re.compile(r"[:=]|是|为|叫|->|→|[“「『]|(?<=[ \t])[\"'`]")
_SAYS = re.compile(r"(?<![a-z])(?:is|was)(?![a-z])")

Connector = Literal["assigns", "says", "none"]
"""How a label is joined to its value: ``：``, ``=``, ``是``; ``is``; or by standing before it."""

_BY_TYPE: dict[str, tuple[Field, ...]] = {
    type: tuple(field for field in FIELDS if field.type == type) for type in {field.type for field in FIELDS}
}


def _is_secret(value: str, connector: Connector, chinese: bool) -> bool:
    """A password mixes kinds of characters, or a Chinese label says outright that it follows."""
    if connector == "none" and not chinese:
        return False
    if value.lower() in not_values() or value[0] in "<{$(%[" or not any(c.isalnum() for c in value):
        return False
    # A capital at the beginning is how any sentence writes any word.
    kinds = sum(
        bool(re.search(kind, value)) for kind in ("[a-z]", ".[A-Z]|^[A-Z]+$", "[0-9]", "[^A-Za-z0-9]")
    )
    return kinds >= 2 or (chinese and connector == "assigns" and len(value) >= 5)


def _is_account_name(value: str, connector: Connector) -> bool:
    """A user name that is a plain word needs a colon; with a digit or mark inside, a verb is enough."""
    if value.lower() in not_values() or value.isdigit() or is_label(value):
        return False
    return connector == "assigns" or (connector == "says" and not value.isalpha())


def _plausible(field: Field, value: str, connector: Connector, chinese: bool) -> bool:
    """What neither shape nor check can see: how the value is announced, and whether it is a word."""
    if sum(c.isdigit() or c in "*xX" for c in value) < field.fewest_digits:
        return False
    if field.rule == "secret_after_label":
        return _is_secret(value, connector, chinese)
    if field.type == "USERNAME":
        return _is_account_name(value, connector)
    if field.type == "WECHAT_ID":
        # The next column of a table: wechat, office_phone.
        if is_label(value):
            return False
        return connector == "assigns" or not value.isalpha()
    if field.rule == "bic_after_label":
        return connector != "none" and check(field.type, value).subtype == "bic"
    if field.rule in ("id_masked", "card_masked"):
        return value.count("*") >= 2 and any(c.isdigit() for c in value)
    if field.type == "PHONE_NUMBER":
        return not is_hotline(value) and sum(c.isdigit() for c in value) <= 20
    return True


def find_labelled(scanned: Scanned) -> Iterator[Candidate]:
    """For each label, the value behind it, for each type that the label may announce."""
    for label in scanned.labels.all:
        if any(type in _BY_TYPE for type in label.types):
            yield from _behind(scanned, label)
            yield from _before_bracket(scanned, label)


def behind(types: Iterable[str]) -> Iterator[str]:
    """What stands behind a label where `find_labelled` finds something, for `pii.patterns.sieve`."""
    fields = [field for type in types for field in _BY_TYPE.get(type, ())]
    if not fields:
        return
    if all(field.fewest_digits for field in fields):
        # For all such types together: so most labels share one expression.
        fields = [field for field in FIELDS if field.fewest_digits]
    values = "|".join(relaxed(field.value) for field in fields)
    yield f"{relaxed(JOIN, to_end=True, ignore_case=True)}(?:{values})"
    yield r"\)"


# 384756(登录验证码): the label stands behind the value, in brackets.
_BRACKET = re.compile(
    r"(?<![0-9A-Za-z])(?P<value>[0-9A-Za-z][0-9A-Za-z -]{2,22}[0-9A-Za-z]) ?\([\u4e00-\u9fff]{0,4}$"
)


def _before_bracket(scanned: Scanned, label: Label) -> Iterator[Candidate]:
    if scanned.text[label.end : label.end + 1] != ")":
        return
    if found := _BRACKET.search(scanned.text, max(0, label.start - 30), label.start):
        begin, end = found.span("value")
        chinese = not scanned.text[label.start].isascii()
        for type in label.types:
            if (value := read_value(scanned, type, begin, "assigns", chinese)) and value.end == end:
                yield value


def _connector(lower: str, start: int, end: int) -> Connector:
    if _ASSIGNS.search(lower, start, end):
        return "assigns"
    return "says" if _SAYS.search(lower, start, end) else "none"


def _behind(scanned: Scanned, label: Label) -> Iterator[Candidate]:
    join = JOIN.match(scanned.lower, label.end)
    assert join is not None  # it matches the empty string
    begin = join.end()
    connector = _connector(scanned.lower, label.end, begin)
    chinese = not scanned.text[label.start : label.end].isascii()
    for type in label.types:
        if value := read_value(scanned, type, begin, connector, chinese):
            yield value


def read_value(
    scanned: Scanned, type: str, begin: int, connector: Connector, chinese: bool
) -> Candidate | None:
    """The value of a type that stands at a place; None where what stands there is none.

    Args:
        scanned: the text.
        type: what a label has announced.
        begin: where the value would begin.
        connector: how the label is joined to it.
        chinese: whether the label is.
    """
    for field in _BY_TYPE.get(type, ()):
        found = field.value.match(scanned.text, begin)
        if not found or not _plausible(field, found[0], connector, chinese):
            continue
        verdict = check(type, found[0]) if field.checked else Verdict(None)
        # Behind a label a telephone number of no known plan is one still.
        if verdict.valid is False and verdict.subtype is None and type != "PHONE_NUMBER":
            continue
        evidence: Literal["checksum", "context"] = "checksum" if verdict.valid else "context"
        return Candidate(begin, found.end(), type, field.rule, evidence, verdict.subtype, True)
    return None
