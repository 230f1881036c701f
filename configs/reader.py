"""The one strict reader of YAML recipes.

A recipe is one YAML file and one schema: a subclass of :class:`StrictConfig`, kept beside the code
that uses it. Unknown keys, wrong types and broken bounds are refused with the dotted path.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from configs.errors import ConfigError

RECIPES = Path(__file__).parent


class StrictConfig(BaseModel):
    """Base of every schema: frozen, unknown keys refused, no silent conversion of types."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        validate_default=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        protected_namespaces=(),
    )


Schema = TypeVar("Schema", bound=StrictConfig)


class _Loader(yaml.SafeLoader):
    """YAML 1.1 without its traps: duplicate keys are refused, ``1e-4`` is a number."""


def _mapping_without_duplicates(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if key in seen:
            line = key_node.start_mark.line + 1
            raise ConfigError(f"line {line}: the key {key!r} stands twice")
        seen.add(key)
    loader.flatten_mapping(node)
    return {
        loader.construct_object(k, deep=True): loader.construct_object(v, deep=True) for k, v in node.value
    }


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_without_duplicates)
# PyYAML reads 1e-4 as a string (YAML 1.1 wants a dot); every other reader takes it as a float.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def read_yaml(path: Path) -> Any:
    """Parse one YAML file. Raises ConfigError with file and line where it cannot be parsed."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({type(error).__name__})") from None
    try:
        return yaml.load(text, Loader=_Loader)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ConfigError(f"{where}: not YAML") from None


def override(values: dict[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Apply ``dotted.key=value`` assignments; the value is read as YAML.

    Raises ConfigError for an assignment without ``=`` or through a key that is not a mapping.
    """
    for assignment in assignments:
        path, equals, raw = assignment.partition("=")
        if not equals or not path:
            raise ConfigError(f"--set {path}: expected dotted.key=value")
        try:
            value = yaml.load(raw, Loader=_Loader)
        except yaml.YAMLError:
            raise ConfigError(f"--set {path}: the value is not YAML") from None
        *parents, leaf = path.split(".")
        target = values
        for parent in parents:
            child = target.setdefault(parent, {})
            if not isinstance(child, dict):
                raise ConfigError(f"--set {path}: {parent} is not a mapping")
            target = child
        target[leaf] = value
    return values


def parse(values: Any, schema: type[Schema], where: str) -> Schema:
    """Validate plain values against a schema. Raises ConfigError naming each dotted path."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: expected a mapping of keys to values")
    try:
        # Through JSON mode, where YAML's lists may fill tuples and strings may fill paths, while
        # "3" is still no integer.
        return schema.model_validate_json(_as_json(values, where))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or '(top)'}: {_expectation(item)}"
            for item in error.errors(include_input=False, include_url=False)
        )
        raise ConfigError(f"{where}: {problems}") from None


def _as_json(values: Mapping[str, Any], where: str) -> str:
    import json

    try:
        return json.dumps(values)
    except TypeError:
        raise ConfigError(f"{where}: dates and other YAML types need quotes") from None


def _expectation(item: Mapping[str, Any]) -> str:
    if item["type"] == "extra_forbidden":
        return "unknown key"
    if item["type"] == "missing":
        return "is required"
    message: str = item["msg"]
    return message[0].lower() + message[1:]


def load(path: str | Path, schema: type[Schema], assignments: Iterable[str] = ()) -> Schema:
    """Read a recipe, apply ``--set`` assignments and validate it.

    Raises ConfigError: the file is missing or not YAML, a key is unknown, a type or bound is wrong.
    """
    path = Path(path)
    values = read_yaml(path)
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping of keys to values")
    return parse(override(values, assignments), schema, str(path))


def dump(config: StrictConfig) -> str:
    """Write the effective configuration as YAML, in the schema's order."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
