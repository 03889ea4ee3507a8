"""YAML in a field of a body, read as the JSON that it stands for, within limits."""

import asyncio
import datetime
from typing import Any

import yaml  # type: ignore[import-untyped]
from litestar.exceptions import ClientException

from relay.api.json_text import MAX_DEPTH, parse_json
from relay.errors import Fault, Invalid

YAML_CHARS = 262_144
"""The largest text that is read as YAML: half a second of work in a thread. JSON can fill the body."""
MOST_VALUES = 100_000
"""Values, with those that aliases stand for each time."""

MOST_DIGITS = 100
"""Characters of a whole number: Python converts no longer ones, or slowly."""

Path = tuple[str | int, ...]


async def read_object(text: str, path: Path) -> dict[str, Any]:
    """The object that a text is, in JSON or in YAML. Raises Invalid."""
    value = parse_json_at(text, path) if text.lstrip()[:1] in ("{", "[") else await _yaml(text, path)
    if not isinstance(value, dict):
        raise Invalid(Fault(path, "must be an object, in JSON or YAML"))
    return value


def parse_json_at(text: str, path: Path) -> Any:
    """The value of a text in JSON. Raises Invalid."""
    try:
        return parse_json(text.encode())
    except ClientException as error:
        raise Invalid(Fault(path, f"is no JSON: {error.detail}")) from None


async def _yaml(text: str, path: Path) -> Any:
    if len(text) > YAML_CHARS:
        raise Invalid(Fault(path, f"must have at most {YAML_CHARS} characters as YAML, not {len(text)}. Send JSON"))
    try:
        loaded = await asyncio.to_thread(yaml.load, text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        why = " ".join(str(error).split())[:200]
        raise Invalid(Fault(path, f"is neither JSON nor YAML: {why}")) from None
    return _Copy(path).of(loaded, 1)


class _Loader(yaml.CSafeLoader):  # type: ignore[misc]
    """Refuses whole numbers that are too long to be converted."""

    def construct_whole_number(self, node: Any) -> Any:
        """An integer. Raises ValueError."""
        if len(node.value) > MOST_DIGITS:
            where = node.start_mark.line + 1
            raise ValueError(f"a whole number must have at most {MOST_DIGITS} digits, at line {where}")
        return self.construct_yaml_int(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_whole_number)


class _Copy:
    """Copies what YAML gave as JSON: an alias stands for a copy, keys are texts, and there are no dates."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._left = MOST_VALUES

    def of(self, value: Any, depth: int) -> Any:
        """The copy of a value. Raises Invalid if there is too much, or what JSON does not have."""
        self._left -= 1
        if self._left < 0:
            raise Invalid(Fault(self._path, f"must have at most {MOST_VALUES} values, with those of aliases"))
        if depth > MAX_DEPTH:
            raise Invalid(Fault(self._path, f"is nested too deeply: {MAX_DEPTH} levels are allowed"))
        match value:
            case dict():
                return {_key(name): self.of(each, depth + 1) for name, each in value.items()}
            case list():
                return [self.of(each, depth + 1) for each in value]
            case None | bool() | int() | str():
                return value
            case float() if value == value and abs(value) != float("inf"):
                return value
            case datetime.date():
                return value.isoformat()
        raise Invalid(Fault(self._path, f"has a value that JSON does not have: {type(value).__name__}"))


def _key(name: Any) -> str:
    # The statuses of responses are numbers for YAML.
    return name if isinstance(name, str) else str(name).lower() if isinstance(name, bool) else str(name)
