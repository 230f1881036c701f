"""Which operator an entity gets, and what happens to a leak: one YAML file each in ``configs/policies/``."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from configs.errors import ConfigError
from configs.reader import RECIPES, StrictConfig, load
from pii.redaction.generalising import Generalise
from pii.redaction.hashing import Hash
from pii.redaction.occurrence import Operator
from pii.redaction.sealing import Encrypt
from pii.redaction.shifting import Shift
from pii.redaction.surrogates import Surrogate
from pii.redaction.visible import Keep, Mask, Remove, Replace
from pii.spans import Span

AnyOperator = Annotated[
    Replace | Mask | Remove | Keep | Hash | Encrypt | Surrogate | Shift | Generalise,
    Field(discriminator="operator"),
]
"""The operators that a recipe may name; a further one joins here."""

KEYED = (Hash, Encrypt, Surrogate, Shift)
"""Operators that take a secret from the key."""

POLICIES = RECIPES / "policies"


class Policy(StrictConfig):
    """Which operator an entity gets: that of its subtype, else of its type, else the default."""

    description: str = ""
    """What the policy is for; for readers, without effect."""
    default: AnyOperator = Replace()
    """For whatever is not named below."""
    types: Mapping[str, AnyOperator] = {}
    """Type or subtype (``PHONE_NUMBER``, ``cn_resident_id``) → operator."""
    on_leak: Literal["fail", "escalate"] = "escalate"
    """Where verification finds a value again: refuse the text, or put tags there and verify once more."""
    tenant: str = ""
    """Salts hashes, tokens, surrogates and offsets: two tenants under one key have nothing in common."""

    def operator(self, span: Span) -> Operator:
        """The operator for a span."""
        if span.subtype is not None and span.subtype in self.types:
            return self.types[span.subtype]
        return self.types.get(span.type, self.default)

    @property
    def needs_key(self) -> str | None:
        """The first operator that needs a key, by name; None where none does."""
        return next((op.operator for op in self._operators() if isinstance(op, KEYED)), None)

    def _operators(self) -> Iterator[AnyOperator]:
        yield self.default
        yield from self.types.values()


@functools.cache
def default_policy() -> Policy:
    """Every entity becomes ``<TYPE>``."""
    return Policy()


def shipped_policies() -> tuple[str, ...]:
    """Names of the policies that come with the product."""
    return tuple(sorted(path.stem for path in POLICIES.glob("*.yaml")))


def load_policy(name: str) -> Policy:
    """A shipped policy by its name, or one of your own by the path of its YAML file.

    Raises ConfigError: no such policy or file, or the file breaks `Policy`.
    """
    if name in shipped_policies():
        return load(POLICIES / f"{name}.yaml", Policy)
    if not Path(name).suffix:
        raise ConfigError(f"no such policy; one of {', '.join(shipped_policies())}, or a YAML file")
    return load(name, Policy)
