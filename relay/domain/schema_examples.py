"""An example of a JSON Schema, which can be anybody's: the value that it shows itself, or one made from its types.

It is for people to look at. It follows the usual keywords, and does not promise that the example is valid.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MOST_DEPTH = 16
MOST_NODES = 1000
"""Values of one example. A schema can refer to itself, or to one part of it often."""

_BY_FORMAT: Mapping[str, str] = {
    "date-time": "2018-01-16T13:20:11.000Z", "date": "2018-01-16", "time": "13:20:11Z", "email": "jane@example.com",
    "uri": "https://example.com/", "uuid": "00000000-0000-4000-8000-000000000001", "hostname": "example.com",
    "ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "duration": "PT1M",
}  # fmt: skip


def example_of_schema(schema: Any) -> Any:
    """A value that a schema may describe: JSON of at most MOST_NODES values, MOST_DEPTH deep.

    >>> example_of_schema({"type": "object", "properties": {"total": {"type": "integer", "minimum": 5}}})
    {'total': 5}
    >>> example_of_schema({"properties": {"next": {"$ref": "#"}}, "examples": [{"next": None}]})
    {'next': None}
    """
    return _Making(schema).of(schema, 0)


@dataclass(slots=True)
class _Making:
    root: Any
    left: int = MOST_NODES

    def of(self, schema: Any, depth: int) -> Any:
        self.left -= 1
        if not isinstance(schema, dict) or depth > MOST_DEPTH or self.left <= 0:
            return None
        shown = _shown(schema)
        if shown is not None:
            return shown[0]
        if (named := self._named(schema.get("$ref"))) is not None:
            return self.of(named, depth + 1)
        for keyword in ("oneOf", "anyOf"):
            options = schema.get(keyword)
            if isinstance(options, list) and options and "properties" not in schema:
                return self.of(options[0], depth + 1)
        return self._typed(schema, depth)

    def _typed(self, schema: dict[str, Any], depth: int) -> Any:
        kind = _kind(schema)
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            items = schema.get("items")
            return [self.of(items, depth + 1)] if isinstance(items, dict) and depth < MOST_DEPTH else []
        return _PLAIN[kind](schema) if kind in _PLAIN else None

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        parts = schema.get("allOf")
        for part in parts if isinstance(parts, list) else ():
            of_part = self.of(part, depth + 1)
            made |= of_part if isinstance(of_part, dict) else {}
        properties = schema.get("properties")
        for name, each in properties.items() if isinstance(properties, dict) else ():
            if self.left <= 0 or depth >= MOST_DEPTH:
                break
            made[name] = self.of(each, depth + 1)
        return made

    def _named(self, reference: Any) -> Any:
        """What a reference into the same schema names; None for any other reference."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        found = self.root
        for part in reference[1:].split("/")[1:]:
            found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        return found


def _shown(schema: dict[str, Any]) -> tuple[Any] | None:
    """The value that a schema names itself."""
    for keyword in ("const", "example", "default"):
        if keyword in schema:
            return (schema[keyword],)
    for keyword in ("examples", "enum"):
        if isinstance(schema.get(keyword), list) and schema[keyword]:
            return (schema[keyword][0],)
    return None


def _kind(schema: dict[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list) and kind:
        kind = kind[0]
    if isinstance(kind, str):
        return kind
    if "properties" in schema or "allOf" in schema:
        return "object"
    return "array" if "items" in schema else ""


def _text(schema: dict[str, Any]) -> str:
    shape = schema.get("format")
    return _BY_FORMAT.get(shape, "string") if isinstance(shape, str) else "string"


def _number(schema: dict[str, Any]) -> Any:
    least = schema.get("minimum", 0)
    return least if isinstance(least, int | float) else 0


_PLAIN: Mapping[str, Callable[[dict[str, Any]], Any]] = {
    "string": _text,
    "integer": _number,
    "number": _number,
    "boolean": lambda _: True,
    "null": lambda _: None,
}
