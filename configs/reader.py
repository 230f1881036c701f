"""The one strict reader of YAML recipes.

A recipe is one YAML file and one schema: a subclass of :class:`StrictConfig`, kept beside the code
that uses it. Unknown keys, wrong types and broken bounds are refused with the dotted path.
"""

import json
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
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )


Schema = TypeVar("Schema", bound=StrictConfig)


class _Loader(yaml.SafeLoader):
    """YAML 1.1 without its traps: duplicate keys are refused, ``1e-4`` is a number, dates are strings."""


class _Dumper(yaml.SafeDumper):
    """Quotes exactly what `_Loader` would otherwise read as something else."""


def _mapping_without_duplicates(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError(f"{line}: a key has to be a plain word")
        if key.value in seen:
            raise ConfigError(f"{line}: the key {key.value!r} stands twice")
        seen.add(key.value)
    # Merge keys (<<) are resolved after the check: what they bring may be overridden.
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_without_duplicates)
for _dialect in (_Loader, _Dumper):
    # A version or a revision may look like a date; no recipe has a field for one.
    _dialect.yaml_implicit_resolvers = {
        first: [(tag, shape) for tag, shape in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in _dialect.yaml_implicit_resolvers.items()
    }
    # PyYAML reads 1e-4 and 1.5e3 as strings (YAML 1.1 wants a dot and a sign); other readers do not.
    _dialect.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"),
        list("-+.0123456789"),
    )


def _plain(text: str, where: str) -> Any:
    """The plain values of a YAML text. Raises ConfigError with the line, never with the text."""
    try:
        return yaml.load(text, Loader=_Loader)
    except ConfigError as error:
        raise ConfigError(f"{where}:{error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"{where}{line}: not YAML") from None
    except (ValueError, RecursionError):
        # A tag whose value does not fit it (`!!int x`), or nesting without end.
        raise ConfigError(f"{where}: holds a value that cannot be read") from None


def read_yaml(path: Path) -> Any:
    """Parse one YAML file. Raises ConfigError with file and line where it cannot be parsed."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({type(error).__name__})") from None
    return _plain(text, str(path))


def override(values: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Apply ``dotted.key=value`` assignments to a copy; the value is read as YAML.

    Sections that are missing or empty are made. A list is replaced as a whole (``a.b=[1, 2]``).
    Raises ConfigError for an assignment without ``=`` or through a key that is not a mapping.
    """
    changed = dict(values)
    for number, assignment in enumerate(assignments, 1):
        path, equals, raw = assignment.partition("=")
        keys = path.split(".")
        if not equals or not all(keys):
            # Not repeated: without its "=" the whole of it may be a secret.
            raise ConfigError(f"--set, number {number}: expected dotted.key=value")
        target = changed
        for key in keys[:-1]:
            child = target.get(key)
            if not isinstance(child, dict | None):
                raise ConfigError(f"--set {path}: {key} is not a mapping")
            # Copied, because a YAML alias shares one mapping between two places.
            target[key] = dict(child or {})
            target = target[key]
        target[keys[-1]] = _plain(raw, f"--set {path}")
    return changed


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
    try:
        return json.dumps(values)
    except (TypeError, ValueError):
        raise ConfigError(f"{where}: sets, binary values and endless aliases are not read") from None


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
    dumped: str = yaml.dump(
        config.model_dump(mode="json"), Dumper=_Dumper, sort_keys=False, allow_unicode=True
    )
    return dumped
