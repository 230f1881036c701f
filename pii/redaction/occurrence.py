"""What an operator gets to know: one entity, and the document that it stands in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from configs.reader import StrictConfig
from pii.redaction.keys import KeyRequired, RedactionKey, digest


@dataclass(frozen=True, slots=True)
class Occurrence:
    """What an operator may know of the entity that it replaces.

    Attributes:
        value: the text of the entity.
        type: its type.
        zh: the Chinese name of the type.
        subtype: country or issuer, or None.
        index: the how-manieth different value of its type it is in this text, from 1; equal values share
            a number, however they are written, so that a reader still sees who is who.
        who: the value however it is written (`pii.redaction.identity`).
        start: its first code point in the original text.
    """

    value: str = field(repr=False)
    type: str
    zh: str
    subtype: str | None
    index: int
    who: str = field(repr=False)
    start: int


@dataclass(slots=True)
class Scope:
    """One document while it is redacted: its secret, and what its operators have to agree on.

    Attributes:
        key: the secret; None where there is none.
        tenant: salts everything that is derived from the key.
        document: what names the document; decides what is drawn per document.
        originals: type → identities of all its values in the document.
        taken: (type, identity of a surrogate) → identity of the value that it stands for.
    """

    key: RedactionKey | None = None
    tenant: str = ""
    document: str = field(default="", repr=False)
    originals: Mapping[str, frozenset[str]] = field(default_factory=dict, repr=False)
    taken: dict[tuple[str, str], str] = field(default_factory=dict, repr=False)

    def secret(self, operator: str, length: int = 32) -> bytes:
        """The derived key of an operator. Raises KeyRequired."""
        if self.key is None:
            raise KeyRequired(operator)
        return self.key.derive(operator, self.tenant, length)

    def digest(self, operator: str, *parts: str) -> bytes:
        """A keyed digest of the parts, 32 bytes. Raises KeyRequired."""
        return digest(self.secret(operator), *parts)


class Operator(Protocol):
    """One way to replace an entity."""

    @property
    def operator(self) -> str:
        """Its name in recipes."""

    def replacement(self, occurrence: Occurrence, scope: Scope) -> str | None:
        """What stands in the text instead of the entity; None where the operator cannot read this value."""


class OperatorConfig(StrictConfig):
    """What every operator of a recipe has."""

    basis: str = ""
    """The law or standard that asks for this rule; for readers of the policy, without effect."""
