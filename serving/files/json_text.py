"""JSON as text: where in it the values of paths stand, so that all else keeps its bytes.

Paths are the part of JSONPath (RFC 9535) that names places: ``$.messages[*].content``, ``$['a b'][0]``. A
word without ``$`` is one key. A path may lead to a string, a number, or a list or object of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from configs.errors import ConfigError
from pii.errors import RequestError
from pii.patterns.labels import is_label
from serving.files.records import Check, Edit, Slot, applied

EVERY = "*"
"""The step to every member of an object or list."""

Step = str | int
Path = tuple[Step, ...]

_STEP = re.compile(
    r"\.(?P<name>[^.\[\]'\"*\s]+)|\.(?P<star>\*)|\[(?P<index>[0-9]+)\]|\[(?P<every>\*)\]"
    r"|\[(?P<quote>['\"])(?P<key>.*?)(?P=quote)\]"
)


def parse_path(written: str) -> Path:
    """The steps of a path. Raises ConfigError: slices, filters and ``..`` are not places."""
    if not written.startswith("$"):
        return (_Key(written),)
    steps: list[Step] = []
    at = 1
    while at < len(written):
        found = _STEP.match(written, at)
        if found is None:
            raise ConfigError(
                f"{written}: expected a path such as $.messages[*].content, at character {at + 1}"
            )
        if found["index"] is not None:
            steps.append(int(found["index"]))
        elif found["star"] or found["every"]:
            steps.append(EVERY)
        else:
            steps.append(_Key(found["name"] or found["key"]))
        at = found.end()
    return tuple(steps)


class _Key(str):
    """A key that is no wildcard, even where it is written ``*``."""

    __slots__ = ()


def _leads(step: Step, member: Step) -> bool:
    return (step == EVERY and not isinstance(step, _Key)) or step == member


Members = tuple[tuple[str, int, int], ...]
"""Key, and start and end of its value, for each top-level member of an object."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a slot stands in a JSON text: the literal's start and end."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Found:
    """What paths lead to in one JSON text.

    Attributes:
        slots: the texts; a number is the text of its digits.
        keys: of the top-level members, where the text is an object.
        places: where the slots stand, in order of the text, and the top-level members; None where nobody has
            asked for them yet.
        selection: knows the places.
    """

    slots: tuple[Slot, ...]
    keys: tuple[str, ...] = field(repr=False)
    places: tuple[tuple[Place, ...], Members] | None
    selection: Selection

    def placed(self, content: str) -> tuple[tuple[Place, ...], Members]:
        """The places of the slots and of the top-level members."""
        if self.places is not None:
            return self.places
        walk = self.selection.walked(content)
        return tuple(walk.places), tuple(walk.members)


def _refuse(_: str) -> None:
    raise ValueError("NaN and Infinity are not JSON")


# Numbers are not converted: they are copied as they stand, and may have thousands of digits.
_DECODER = json.JSONDecoder(parse_int=len, parse_float=len, parse_constant=_refuse)
_PAIRS = json.JSONDecoder(parse_int=len, parse_float=len, parse_constant=_refuse, object_pairs_hook=tuple)
"""As `_DECODER`, with objects as pairs of key and value."""
_SPACE = re.compile(r"[ \t\r\n]*")


def dump(value: object) -> str:
    """A value as JSON, with its characters as they are."""
    return json.dumps(value, ensure_ascii=False)


class Selection:
    """The paths of a job, ready to be looked for.

    Args:
        paths: path → entity type of its whole values, or None where somebody has to look.
        strict: whether a path has to lead to a string; otherwise numbers and containers are read too.
        repeats: whether an object may have two members of one name.
    """

    def __init__(self, paths: Mapping[Path, str | None], *, strict: bool, repeats: bool = False) -> None:
        self.paths, self._strict, self._repeats = dict(paths), strict, repeats
        key = next(iter(self.paths), ())
        self._only_key = key[0] if strict and len(self.paths) == 1 and len(key) == 1 else None

    def find(self, content: str, check: Check) -> Found:
        """Slots and places in a JSON text.

        Raises RequestError: ``not_json``, ``no_text``, ``repeated_key`` (of two members of one name a reader
        takes either: what was removed from one may stand in the other), and what `check` raises.
        """
        try:
            if isinstance(self._only_key, _Key) and content.startswith("{"):
                found = self._member(_PAIRS.decode(content), self._only_key)
            else:
                _DECODER.decode(content)
                walk = self.walked(content)
                keys = tuple(key for key, _, _ in walk.members)
                found = Found(tuple(walk.slots), keys, (tuple(walk.places), tuple(walk.members)), self)
        except (ValueError, RecursionError) as error:
            if isinstance(error, RequestError):
                raise
            raise RequestError("not_json", "line", "not JSON") from None
        for slot in found.slots:
            check(slot.text)
        return found

    def _member(self, pairs: Sequence[tuple[str, object]], key: _Key) -> Found:
        """One string of an object, without its place: most rows are written as they were read."""
        members = dict(pairs)
        if len(members) < len(pairs):
            raise _repeated()
        if key not in members:
            raise _no_text()
        if not isinstance(text := members[key], str):
            raise _not_string()
        slot = Slot(text, key if is_label(key) else "", self.paths[(key,)])
        return Found((slot,), tuple(members), None, self)

    def walked(self, content: str) -> _Walk:
        """A pass over a valid JSON text. Raises RequestError as `find`."""
        walk = _Walk(content, self._strict, self._repeats)
        walk.value(walk.after_space(0), [(path, type) for path, type in self.paths.items()], "", None)
        if not walk.has_match:
            raise _no_text()
        return walk


def _repeated() -> RequestError:
    return RequestError("repeated_key", "line", "a key stands twice")


def _no_text() -> RequestError:
    return RequestError("no_text", "line", "no path leads to anything")


def _not_string() -> RequestError:
    return RequestError("text_not_string", "text", "the text has to be a string")


class _Walk:
    """One pass over a valid JSON text along some paths."""

    def __init__(self, text: str, strict: bool, repeats: bool) -> None:
        self.text, self._strict, self._repeats = text, strict, repeats
        self.slots: list[Slot] = []
        self.places: list[Place] = []
        self.members: list[tuple[str, int, int]] = []
        self.has_match = False
        self._depth = 0

    def after_space(self, at: int) -> int:
        match = _SPACE.match(self.text, at)
        assert match is not None
        return match.end()

    def value(self, at: int, paths: Sequence[tuple[Path, str | None]], key: str, chosen: str | None) -> int:
        """Walk one value; returns where it ends. A path without further steps chooses it."""
        ends = [type for path, type in paths if not path]
        if ends:
            self.has_match = True
            chosen = ends[0] or chosen or ""
        opening = self.text[at]
        if opening in "{[" and (chosen is not None or any(path for path, _ in paths) or not self._depth):
            if chosen is not None and self._strict:
                raise _not_string()
            return self._container(at, opening == "{", paths, key, chosen)
        value, end = _DECODER.raw_decode(self.text, at)
        if chosen is not None:
            self._take(value, at, end, key, chosen)
        return end

    def _take(self, value: object, start: int, end: int, key: str, chosen: str) -> None:
        if not isinstance(value, str):
            if self._strict:
                raise _not_string()
            if value is None or isinstance(value, bool):
                return
            value = self.text[start:end]
        assert isinstance(value, str)
        label = key if is_label(key) else ""
        self.slots.append(Slot(value, label, chosen or None))
        self.places.append(Place(start, end))

    def _container(
        self, at: int, is_object: bool, paths: Sequence[tuple[Path, str | None]], key: str, chosen: str | None
    ) -> int:
        text, closing = self.text, "}" if is_object else "]"
        seen: set[str] = set()
        top = not self._depth
        self._depth += 1
        position, index = self.after_space(at + 1), 0
        while text[position] != closing:
            name: Step = index
            if is_object:
                decoded, position = _DECODER.raw_decode(text, position)
                if decoded in seen and not self._repeats:
                    raise _repeated()
                seen.add(decoded)
                name, key = decoded, decoded
                position = self.after_space(self.after_space(position) + 1)
            further = [(path[1:], type) for path, type in paths if path and _leads(path[0], name)]
            end = self.value(position, further, key, chosen)
            if top and is_object:
                self.members.append((key, position, end))
            position = self.after_space(end)
            if text[position] == ",":
                position = self.after_space(position + 1)
            index += 1
        self._depth -= 1
        return position + 1


def edited(content: str, found: Found, edits: Sequence[Sequence[Edit]], values: Mapping[str, object]) -> str:
    """A JSON text with edits in its slots, and some top-level members replaced or, where absent, appended.

    A number with an edit becomes a string. What is inside a replaced member goes with it. Where all the text
    escapes what is not ASCII, its new strings do so too.
    """
    if not values and not any(edits):
        return content
    places, members = found.placed(content)
    escaped = content.isascii() and "\\u" in content
    new: dict[tuple[int, int], str] = {}
    for place, slot, changes in zip(places, found.slots, edits, strict=True):
        if changes:
            new[place.start, place.end] = json.dumps(applied(slot.text, changes), ensure_ascii=escaped)
    at = {key: (start, end) for key, start, end in members}
    for start, end in (at[key] for key in values if key in at):
        new = {place: text for place, text in new.items() if not start <= place[0] < end}
    new |= {at[key]: dump(value) for key, value in values.items() if key in at}
    if added := "".join(f", {dump(key)}: {dump(value)}" for key, value in values.items() if key not in at):
        closing = content.rindex("}")
        new[closing, closing] = added if members else added.removeprefix(", ")
    for (start, end), text in sorted(new.items(), reverse=True):
        content = content[:start] + text + content[end:]
    return content
