"""One function for each layout of a row: a parsed row to a text and its claims.

A function returns what the row says and raises `RowError` with a short reason where the row cannot be
used; it knows nothing of label maps, files or types.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_pipeline.readers.card import Format, SourceCard
from data_pipeline.readers.offsets import Claim
from pii.taxonomy import shipped


class RowError(Exception):
    """A row that cannot be used; the message is a reason without any of its text."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """What a row says: a text, claims about it; its language and labelled types where the row names them."""

    text: str = field(repr=False)
    claims: Sequence[Claim]
    language: str = ""
    types: Sequence[str] | None = None


def _column(row: Any, name: str, kind: type | tuple[type, ...]) -> Any:
    if not isinstance(row, Mapping):
        raise RowError("row_is_not_an_object")
    if row.get(name) is None:
        raise RowError(f"missing_column: {name}")
    if not isinstance(row[name], kind):
        raise RowError(f"wrong_type: {name}")
    return row[name]


def _offset(span: Any, name: str) -> int:
    value = _column(span, name, (int, float))
    if isinstance(value, bool) or value != int(value):
        raise RowError(f"wrong_type: {name}")
    return int(value)


def spans(row: Any, card: SourceCard) -> Labelled:
    """A text beside a list of objects with label, start, end and value, under the card's names.

    The list may itself be a string of JSON. Serves our own JSON lines, pii_anon_eval, presidio-research and
    the ai4privacy releases since 300k.
    """
    names = card.fields
    text = _column(row, names.text, str)
    listed = _column(row, names.spans, (list, str))
    if isinstance(listed, str):
        listed = _literal(listed, names.spans)
    claims = []
    for span in listed:
        value = span.get(names.value) if isinstance(span, Mapping) else None
        if value is not None and not isinstance(value, str):
            raise RowError(f"wrong_type: {names.value}")
        label = _column(span, names.label, str)
        claims.append(Claim(label, _offset(span, names.start), _offset(span, names.end), value))
    types = row.get("types")
    if types is not None and not (isinstance(types, list) and all(t in shipped() for t in types)):
        raise RowError("wrong_type: types")
    return Labelled(text, claims, _language(row.get(names.language)), types)


def _literal(text: str, name: str) -> Any:
    """A list or mapping that was written as JSON or as Python's repr."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise RowError(f"unreadable_list: {name}") from None


_LANGUAGES = {
    "english": "en", "french": "fr", "german": "de", "italian": "it", "spanish": "es", "dutch": "nl",
    "chinese": "zh", "hindi": "hi", "telugu": "te",
}  # fmt: skip


def _language(value: Any) -> str:
    """A BCP-47 primary tag: ``English`` → ``en``, ``en-US`` → ``en``."""
    if not isinstance(value, str):
        return ""
    word = value.strip().casefold()
    return _LANGUAGES.get(word, re.split(r"[-_]", word)[0])


def ai4privacy(row: Any, card: SourceCard) -> Labelled:
    """Any release of ai4privacy: the list of spans of today, or the first schema of the 200k release.

    The first one has ``unmasked_text``, the spans as a string of ``[start, end, 'LABEL_1']`` with the text
    between them as ``O``, and the values as a string of a mapping from ``[LABEL_1]``.
    """
    if not isinstance(row, Mapping) or "unmasked_text" not in row:
        return spans(row, card)
    text = _column(row, "unmasked_text", str)
    values = _literal(_column(row, "privacy_mask", str), "privacy_mask")
    listed = _literal(_column(row, "span_labels", str), "span_labels")
    if not isinstance(values, Mapping) or not isinstance(listed, list):
        raise RowError("unreadable_list: span_labels")
    claims = []
    for item in listed:
        start, end, label = _triple(item)
        if label != "O":
            claims.append(Claim(label, start, end, values.get(f"[{label}]")))
    if len(claims) < len(values):
        raise RowError("span_labels_lack_a_value_of_privacy_mask")
    return Labelled(text, claims, _language(row.get("language")))


def _triple(item: Any) -> tuple[int, int, str]:
    if isinstance(item, Sequence) and not isinstance(item, str) and len(item) == 3:
        start, end, label = item
        if type(start) is int and type(end) is int and isinstance(label, str):
            return start, end, label
    raise RowError("span_is_not_start_end_label")


def doccano(row: Any, card: SourceCard) -> Labelled:
    """JSON lines of doccano: ``label`` or ``labels`` with triples, or ``entities`` with start_offset."""
    text = _column(row, "text", str)
    if "entities" in row:
        claims = [
            Claim(_column(e, "label", str), _offset(e, "start_offset"), _offset(e, "end_offset"))
            for e in _column(row, "entities", list)
        ]
    else:
        listed = _column(row, "labels" if "labels" in row else "label", list)
        claims = [Claim(label, start, end) for start, end, label in map(_triple, listed)]
    return Labelled(text, claims, _language(row.get(card.fields.language)))


def label_studio(row: Any, card: SourceCard) -> Labelled:
    """A task of Label Studio's JSON export; of several annotations the newest that was not cancelled.

    A task that nobody has annotated is refused: it is not known to hold nothing.
    """
    text = _column(_column(row, "data", Mapping), card.fields.text, str)
    done = [
        a
        for a in _column(row, "annotations", list)
        if isinstance(a, Mapping) and not a.get("was_cancelled") and isinstance(a.get("result"), list)
    ]
    if not done:
        raise RowError("not_annotated")
    newest = max(done, key=lambda a: str(a.get("updated_at") or a.get("created_at") or ""))
    claims = []
    for result in newest["result"]:
        if not isinstance(result, Mapping) or result.get("type") != "labels":
            continue
        value = _column(result, "value", Mapping)
        labels = _column(value, "labels", list)
        if len(labels) != 1 or not isinstance(labels[0], str):
            raise RowError("span_with_other_than_one_label")
        stated = value.get("text") if isinstance(value.get("text"), str) else None
        claims.append(Claim(labels[0], _offset(value, "start"), _offset(value, "end"), stated))
    return Labelled(text, claims, _language(row["data"].get(card.fields.language)))


def csv(row: Any, card: SourceCard) -> Labelled:
    """A text column and one column for each label; a cell holds the value, or several between ``|``.

    Each value is marked wherever it stands in the text; the longest first, so that a value inside another
    is not marked twice.
    """
    text = _column(row, card.fields.text, str)
    known = {*card.labels, *(label for group in card.groups.values() for label in group.parts)}
    absent = sorted(known - set(row))
    if absent:
        raise RowError(f"missing_column: {absent[0]}")
    wanted = [
        (value.strip(), label) for label in sorted(known) for value in row[label].split("|") if value.strip()
    ]
    claims: list[Claim] = []
    taken: list[tuple[int, int]] = []
    for value, label in sorted(wanted, key=lambda pair: (-len(pair[0]), pair[1])):
        found = [m.span() for m in re.finditer(re.escape(value), text)]
        if not found:
            raise RowError(f"value_not_in_text: {label}")
        for start, end in found:
            if all(end <= s or e <= start for s, e in taken):
                taken.append((start, end))
                claims.append(Claim(label, start, end, value))
    return Labelled(text, claims, _language(row.get(card.fields.language)))


def cases(row: Any, card: SourceCard) -> Labelled:
    """A test case of a detector: a text, a label, whether the text holds such a thing, and which.

    It speaks of its own label alone: everything else in the text is not known. The value is marked wherever
    it stands. A case that should match but does not say what is refused, and so is one of a dropped label.
    """
    names = card.fields
    text, label = _column(row, names.text, str), _column(row, names.label, str)
    holds = _column(row, names.holds, bool)
    if label in card.dropped:
        raise RowError("label_is_no_type_of_ours")
    claims = []
    if holds:
        value = _column(row, names.value, str)
        found = re.finditer(re.escape(value), text)
        claims = [Claim(label, match.start(), match.end(), value) for match in found]
        if not value or not claims:
            raise RowError("value_not_in_text")
    elif label not in card.labels:
        # Without a claim nothing else would tell that the card does not know the label.
        raise RowError("unknown_label")
    types = [card.labels[label]] if label in card.labels else None
    return Labelled(text, claims, _language(row.get(names.language)), types)


def tokens(row: Any, card: SourceCard) -> Labelled:
    """A sentence of tokens with BIO, IOB or BIOES tags: lines ``token<TAB>tag``, or columns of lists."""
    if isinstance(row, list):
        pairs = [_token_and_tag(line) for line in row if not line.startswith("-DOCSTART-")]
        words, tags = [p[0] for p in pairs], [p[1] for p in pairs]
    else:
        words = _column(row, card.fields.tokens, list)
        names = row.get("tag_names") or card.tag_names
        tags = [_tag(tag, names) for tag in _column(row, card.fields.tags, list)]
    if len(words) != len(tags) or not all(isinstance(word, str) for word in words):
        raise RowError("tokens_and_tags_differ")
    if not words:
        raise RowError("empty_text")
    return _decode(words, tags, card.joiner)


def _token_and_tag(line: str) -> tuple[str, str]:
    token, tab, tag = line.rpartition("\t")
    columns = [*token.split("\t"), tag] if tab else line.split()
    if len(columns) < 2 or not columns[0]:
        raise RowError("line_without_token_and_tag")
    return columns[0], columns[-1]


def _tag(tag: Any, names: Sequence[str]) -> str:
    if isinstance(tag, str):
        return tag
    if type(tag) is not int or not 0 <= tag < len(names):
        raise RowError("tag_number_without_name")
    return names[tag]


def _decode(words: Sequence[str], tags: Sequence[str], joiner: str) -> Labelled:
    """Tags to claims. B and S open a span, I and E go on with one of the same label, or open one (IOB1)."""
    claims: list[Claim] = []
    position = 0
    open_label = ""
    for word, tag in zip(words, tags, strict=True):
        prefix, _, label = tag.partition("-")
        end = position + len(word)
        if tag != "O" and (prefix not in ("B", "I", "E", "S", "M", "L", "U") or not label):
            raise RowError("unknown_tag_scheme")
        if tag == "O":
            open_label = ""
        elif prefix in ("I", "E", "M", "L") and label == open_label:
            claims[-1] = Claim(label, claims[-1].start, end)
        else:
            claims.append(Claim(label, position, end))
        if tag != "O":
            open_label = "" if prefix in ("E", "S", "L", "U") else label
        position = end + len(joiner)
    return Labelled(joiner.join(words), claims)


READERS: dict[Format, Callable[[Any, SourceCard], Labelled]] = {
    "spans": spans,
    "tokens": tokens,
    "ai4privacy": ai4privacy,
    "label_studio": label_studio,
    "doccano": doccano,
    "csv": csv,
    "cases": cases,
}
