"""What Presidio's clients send. Members that they have and that mean nothing here are taken and ignored."""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from serving.lists import MAX_CHARS, MAX_ENTRIES, AllowedPattern, Lists

Words = Annotated[list[str], Field(max_length=MAX_ENTRIES)]
Score = Annotated[float, Field(ge=0, le=1)]
_Regex = Annotated[str, Field(min_length=1, max_length=MAX_CHARS)]
_Flags = Annotated[int, Field(ge=0)]

# Python's names of the flags and RE2's letters.
_LETTERS = ((re.IGNORECASE, "i"), (re.MULTILINE, "m"), (re.DOTALL, "s"))
DEFAULT_FLAGS = int(re.DOTALL | re.MULTILINE | re.IGNORECASE)


def with_flags(pattern: str, flags: int) -> str:
    """The pattern with Python's flags written in front of it, as RE2 wants them."""
    letters = "".join(letter for flag, letter in _LETTERS if flags & flag)
    return f"(?{letters}){pattern}" if letters else pattern


def _read_lenient(value: Any) -> Any:
    return bool(value) if isinstance(value, int) and value in (0, 1) else value


Lenient = Annotated[bool, BeforeValidator(_read_lenient), WithJsonSchema({"enum": [True, False, 0, 1]})]
"""Presidio's own examples say 0 and 1 for false and true."""

AnyTexts = Annotated[Any, WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1}, {"type": "array"}]})]


class _Presidio(BaseModel):
    model_config = ConfigDict(
        extra="ignore", strict=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )


class AdHocPattern(_Presidio):
    """One pattern of a recogniser that a request brings along; RE2 syntax."""

    name: str = ""
    regex: _Regex
    score: Score


class AdHocRecognizer(_Presidio):
    """Patterns and words that count for one request alone."""

    name: str = ""
    supported_language: str = "en"
    supported_entity: Annotated[str, Field(min_length=1, max_length=64)]
    patterns: Annotated[list[AdHocPattern], Field(max_length=100)] = []
    deny_list: Annotated[list[_Regex], Field(max_length=MAX_ENTRIES)] = []
    deny_list_score: Score = 1.0
    context: Words | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_entity(cls, value: Any) -> Any:
        if isinstance(value, dict) and "supported_entity" not in value:
            several = value.get("supported_entities")
            if isinstance(several, list) and several:
                return {**value, "supported_entity": several[0]}
        return value

    @model_validator(mode="after")
    def _looks_for_something(self) -> Self:
        if not self.patterns and not self.deny_list:
            raise PydanticCustomError("no_patterns", "a recogniser needs patterns or a deny_list")
        return self


class AnalyzeRequest(_Presidio):
    """Presidio's `/analyze`: a text, or a list of texts."""

    text: AnyTexts
    language: Annotated[str, Field(json_schema_extra={"pattern": "^(?:zh|en)(?:[-_].*)?$"})]
    entities: list[str] | None = None
    """Presidio's names. Those that nobody here can find are ignored, unless all are."""
    score_threshold: Score | None = None
    return_decision_process: Lenient | None = None
    ad_hoc_recognizers: Annotated[list[AdHocRecognizer], Field(max_length=100)] | None = None
    context: Words | None = None
    allow_list: Words | None = None
    allow_list_match: Annotated[str, Field(pattern="^(exact|regex)$")] = "exact"
    regex_flags: _Flags = DEFAULT_FLAGS
    """Python's flags for patterns of the allow list."""

    def lists(self) -> Lists:
        """The allow list, compiled. Raises RequestError, see `Lists`."""
        words = self.allow_list or []
        if self.allow_list_match == "exact":
            return Lists(allow=words)
        patterns = [
            AllowedPattern.model_construct(pattern=with_flags(word, self.regex_flags))
            for word in words
            if word
        ]
        return Lists(allow=patterns, allow_match="part")


class AnalyzerResult(_Presidio):
    """One find, as `/analyze` gives it."""

    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]
    entity_type: Annotated[str, Field(min_length=1)]
    score: float

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start > self.end:
            raise PydanticCustomError("start_behind_end", "start must be smaller than end")
        return self


class AnonymizerResult(_Presidio):
    """One replaced entity, as `/anonymize` gives it."""

    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]
    entity_type: Annotated[str, Field(min_length=1)]


class AnonymizeRequest(_Presidio):
    """Presidio's `/anonymize`."""

    text: Annotated[str, Field(min_length=1)]
    analyzer_results: list[AnalyzerResult]
    anonymizers: dict[str, dict[str, Any]] | None = None
    """Entity type, or DEFAULT → ``{"type": operator, …parameters}``."""


class DeanonymizeRequest(_Presidio):
    """Presidio's `/deanonymize`."""

    text: Annotated[str, Field(min_length=1)]
    anonymizer_results: list[AnonymizerResult]
    deanonymizers: dict[str, dict[str, Any]]
    """Entity type, or DEFAULT → ``{"type": "decrypt", "key": …}``."""
