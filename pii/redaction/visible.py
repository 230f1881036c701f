"""Operators that need no secret: a tag, a mask, nothing, the value itself."""

from __future__ import annotations

import string
from typing import Literal

from pydantic import Field, field_validator

from pii.redaction.occurrence import Occurrence, OperatorConfig, Scope


class Replace(OperatorConfig):
    """Put a tag in its place."""

    operator: Literal["replace"] = "replace"
    template: str = "<{type}>"
    """The tag, with ``{type}``, ``{zh}``, ``{subtype}`` (the type where there is none) and ``{index}``."""

    @field_validator("template")
    @classmethod
    def _known_fields(cls, template: str) -> str:
        try:
            fields = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
            template.format(type="", zh="", subtype="", index=1)
        except (ValueError, KeyError, IndexError, AttributeError):
            raise ValueError("expected a template with {type}, {zh}, {subtype} or {index}") from None
        # Attribute access such as {type.__class__} formats without an error and is no field of ours.
        if not fields <= {"type", "zh", "subtype", "index"}:
            raise ValueError("expected a template with {type}, {zh}, {subtype} or {index}")
        return template

    def replacement(self, occurrence: Occurrence, scope: Scope) -> str:
        """The filled template."""
        subtype = occurrence.subtype or occurrence.type
        return self.template.format(
            type=occurrence.type, zh=occurrence.zh, subtype=subtype, index=occurrence.index
        )


class Mask(OperatorConfig):
    """Hide the inside, keep some characters at the ends."""

    operator: Literal["mask"] = "mask"
    char: str = Field(default="*", min_length=1, max_length=1)
    """What a hidden character becomes."""
    keep_first: int = Field(default=0, ge=0)
    """Letters and digits left visible at the beginning."""
    keep_last: int = Field(default=0, ge=0)
    """Letters and digits left visible at the end."""
    keep_separators: bool = True
    """Whether spaces, dashes and other marks between letters and digits stay visible."""

    def replacement(self, occurrence: Occurrence, scope: Scope) -> str:
        """The value with its inside hidden; all of it where it is too short to hide half."""
        value = occurrence.value
        letters = [i for i, char in enumerate(value) if char.isalnum()]
        visible: set[int] = set()
        if 2 * (self.keep_first + self.keep_last) <= len(letters):
            visible.update(letters[: self.keep_first])
            visible.update(letters[len(letters) - self.keep_last :])
        hidden = set(letters) - visible if self.keep_separators else set(range(len(value))) - visible
        return "".join(self.char if i in hidden else char for i, char in enumerate(value))


class Remove(OperatorConfig):
    """Put nothing in its place."""

    operator: Literal["remove"] = "remove"

    def replacement(self, occurrence: Occurrence, scope: Scope) -> str:
        """The empty string."""
        return ""


class Keep(OperatorConfig):
    """Leave the entity as it is."""

    operator: Literal["keep"] = "keep"

    def replacement(self, occurrence: Occurrence, scope: Scope) -> str:
        """The value itself."""
        return occurrence.value
