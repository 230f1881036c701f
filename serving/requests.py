"""What a request may hold: texts, what to look for in them, and what is to become of it."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from pii.redaction import Policy, load_policy, shipped_policies
from pii.taxonomy import shipped
from serving.bodies import checked, wrong
from serving.extractor_config import Detectors
from serving.lists import AllowList, DenyList, Lists
from serving.offsets import OffsetUnit
from serving.problems import Problem
from serving.scoring import OperatingPoint

# A text is checked by the extractor, so that one bad text of many does not fail its neighbours.
Text = Annotated[Any, WithJsonSchema({"type": "string"})]
AnyText = Annotated[
    Any, WithJsonSchema({"description": "A string; anything else gets an error in its place."})
]

ONE_OF_BOTH: dict[str, Any] = {
    "oneOf": [
        {"required": ["text"], "properties": {"texts": {"type": "null"}}},
        {"required": ["texts"], "properties": {"texts": {"type": "array"}}, "not": {"required": ["text"]}},
    ]
}
"""Either text or texts, as the OpenAPI document says it."""

_NOT_BOTH: dict[str, Any] = {
    "not": {
        "required": ["threshold", "operating_point"],
        "properties": {"threshold": {"type": "number"}, "operating_point": {"type": "string"}},
    }
}

_LANGUAGE = re.compile(r"(?:zh|en)(?:-[A-Za-z0-9]{1,8})*")


def _read_language(value: Any) -> Any:
    if isinstance(value, str) and not _LANGUAGE.fullmatch(value):
        raise PydanticCustomError("language_not_supported", "zh and en are read, together or alone")
    return value


Language = Annotated[
    str, BeforeValidator(_read_language), Field(json_schema_extra={"pattern": f"^{_LANGUAGE.pattern}$"})
]
"""A language tag (BCP 47) of Chinese or English. Both are read in every text, so that it changes no answer: a
text that is said to be of another language is refused, rather than read by nobody who knows it."""


TypeName = Annotated[str, WithJsonSchema({"type": "string", "enum": [kind.name for kind in shipped()]})]
"""A name of the taxonomy. Which of them are known is for the extractor to say, which knows the detectors."""


class TextsRequest(BaseModel):
    """One text or many."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        json_schema_extra=ONE_OF_BOTH,
    )

    text: Text = None
    texts: list[AnyText] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if ("text" in self.model_fields_set) == (self.texts is not None):
            raise PydanticCustomError("text_or_texts", "expected either text or texts")
        return self


class ReadRequest(TextsRequest):
    """One text or many, what to look for, and how sure to be of it."""

    model_config = ConfigDict(json_schema_extra={"allOf": [ONE_OF_BOTH, _NOT_BOTH]})

    types: list[TypeName] | None = None
    """Names of entity types; not there: the default ones."""
    detectors: Detectors | None = None
    """Who looks: the model, the patterns, or both merged."""
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    """The score from which a find counts."""
    operating_point: OperatingPoint | None = None
    """Which of the measured thresholds counts."""
    language: Language | None = None
    allow_list: AllowList = []
    """Values that are nothing personal."""
    deny_list: DenyList = []
    """Values that are entities in any case."""
    propagate: bool | None = None
    """Whether a value that was found is an entity wherever else it stands in the text; not there: as the
    recipe says."""
    offset_unit: OffsetUnit = "codepoint"
    """What `start` and `end` count."""

    @property
    def cut(self) -> float | OperatingPoint | None:
        """The score, or the operating point, from which a find counts; None where nothing is said."""
        return self.operating_point if self.threshold is None else self.threshold

    @functools.cached_property
    def lists(self) -> Lists:
        """Both lists, compiled. Raises RequestError, see `Lists`."""
        return Lists(self.allow_list, self.deny_list)

    @model_validator(mode="after")
    def _one_threshold(self) -> Self:
        if self.threshold is not None and self.operating_point is not None:
            raise PydanticCustomError("threshold_or_point", "expected either threshold or operating_point")
        return self


class ExtractRequest(ReadRequest):
    """As for reading; `explain` adds to each entity its score, subtype, source and what speaks for it."""

    explain: bool = False


def read_policy(value: Any) -> Policy | None:
    """A request's own policy, or a shipped one by its name; never a path.

    Raises Problem 422, which pydantic lets through, with the place in it.
    """
    if value is None:
        return None
    if isinstance(value, str) and value in shipped_policies():
        return load_policy(value)
    try:
        # A recipe's strictness is that of JSON: lists for tuples, strings for paths.
        return Policy.model_validate_json(json.dumps(value))
    except ValidationError as error:
        raise wrong(error, Policy, "policy") from None


class RedactRequest(ReadRequest):
    """As for reading, with an optional policy in place of the configured one."""

    policy: Annotated[Policy | None, BeforeValidator(read_policy)] = None


class RestoreRequest(TextsRequest):
    """One redacted text or many, whose sealed tokens are opened."""

    tenant: str = ""
    """The tenant of the policy that sealed them."""
    tolerant: bool = False
    """Leave tokens that do not open and report them, instead of refusing the text."""


Parsed = TypeVar("Parsed", bound=TextsRequest)


def parse_request(value: Any, schema: type[Parsed], max_texts: int) -> Parsed:
    """Check the members. Raises Problem 422 with the place of the first wrong one."""
    parsed = checked(value, schema)
    if parsed.texts is not None:
        check_num_texts(parsed.texts, max_texts, "texts")
    return parsed


def check_num_texts(texts: Sequence[object], max_texts: int, place: str) -> None:
    """Raises Problem 422 ``too_many_texts``."""
    if len(texts) > max_texts:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "too_many_texts", f"the limit is {max_texts} texts", place
        )
