"""Names in paths, and parameters in queries and headers: what the OpenAPI document says of them is what is checked.

The framework converts leniently (`1.0` is 1, `null` is no value) and ignores what it does not know. So a guard looks
first.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from relay.api.value_faults import INT64, one_of
from relay.domain.names import SOURCE_UID_MOST, UID_MOST, checked_name, name_in_words
from relay.errors import Fault, Invalid, NotFound

Schema = dict[str, Any]
Parameters = Mapping[tuple[str, str], Mapping[tuple[str, str], Schema]]
"""(path template, method) → (`query` or `header`, name) → what its value may be, as JSON Schema."""

MOST_PARAMETERS = 200
"""Of one query: more than all event types, each by itself."""

TIME_IN_WORDS = "must be a time as in RFC 3339, such as 2026-01-31T12:00:00Z"

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:]{8}(\.[0-9]{1,9})?([Zz]|[+-][0-9:]{5})?")


def parameters_of(document: dict[str, Any]) -> Parameters:
    """What the operations of an OpenAPI document take."""
    return {
        (path, method.upper()): {
            (each["in"], each["name"].lower() if each["in"] == "header" else each["name"]): each["schema"]
            for each in operation.get("parameters", ())
            if each["in"] != "path"
        }
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


def longest_name(parameter: str) -> int:
    """How many characters a name in a path may have, by its parameter: `uid` is a source's."""
    return SOURCE_UID_MOST if parameter == "uid" else UID_MOST


def check_parameters(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """A guard. Raises Invalid with every parameter that is unknown, or not what it must be; NotFound for `%2F`."""
    if b"%2f" in connection.scope.get("raw_path", b"").lower():
        raise NotFound("there is nothing at this path: no name has a slash in it")
    called = connection.scope["path_template"], str(connection.scope.get("method"))
    declared = connection.app.state.parameters.get(called)
    faults = list(_path_faults(connection.path_params))
    if declared is not None:
        faults += _query_faults(connection.scope.get("query_string", b""), declared)
        for (place, name), schema in declared.items():
            value = connection.headers.get(name) if place == "header" else None
            if value is not None and (fault := value_fault(schema, value)):
                faults.append(Fault((place, name), fault))
    if faults:
        raise Invalid(*faults)


def _path_faults(names: Mapping[str, Any]) -> Iterator[Fault]:
    for name, value in names.items():
        try:
            checked_name(str(value), most=longest_name(name), path=("path", name))
        except Invalid as error:
            yield from error.faults


def _query_faults(query: bytes, declared: Mapping[tuple[str, str], Schema]) -> Iterator[Fault]:
    try:
        pairs = parse_qsl(query.decode(), keep_blank_values=True, max_num_fields=MOST_PARAMETERS, errors="strict")
    except UnicodeDecodeError:
        yield Fault(("query",), "must be UTF-8, percent-encoded")
        return
    except ValueError:
        yield Fault(("query",), f"must have at most {MOST_PARAMETERS} parameters")
        return
    known = [name for place, name in declared if place == "query"]
    seen = set[str]()
    for name, value in pairs:
        if name not in known:
            yield Fault(("query", name), f"is not a parameter of this operation; {_nearest(name, known)}", "extra")
            continue
        schema = declared["query", name]
        if name in seen and schema.get("type") != "array":
            yield Fault(("query", name), "is given more than once")
        elif fault := value_fault(schema, value):
            yield Fault(("query", name), fault)
        seen.add(name)


def value_fault(schema: Schema, text: str) -> str | None:
    """What is wrong with a parameter's text, in words; None: nothing.

    >>> value_fault({"type": "integer", "minimum": 1, "maximum": 250}, "1.0")
    'must be an integer from 1 to 250'
    """
    match schema:
        case {"type": "array", "items": items}:
            return value_fault(items, text)
        case {"enum": values}:
            return None if text in map(str, values) else f"must be {one_of(values)}"
        case {"type": "integer"}:
            return _integer_fault(schema, text)
        case {"type": "boolean"}:
            return None if text in ("true", "false") else "must be `true` or `false`"
        case {"format": "date-time"}:
            return None if is_time(text) else TIME_IN_WORDS
    low, high = schema.get("minLength", 0), schema.get("maxLength")
    if len(text) < low or (high is not None and len(text) > high):
        return f"must have {low} to {high} characters" if low else f"must have at most {high} characters"
    if "pattern" in schema and not re.fullmatch(schema["pattern"], text):
        return name_in_words(high or UID_MOST)
    return None


def _integer_fault(schema: Schema, text: str) -> str | None:
    low, high = int(schema.get("minimum", INT64.start)), int(schema.get("maximum", INT64.stop - 1))
    if _INTEGER.fullmatch(text) and low <= int(text) <= high:
        return None
    return f"must be an integer from {low} to {high}"


def is_time(text: str) -> bool:
    """Whether a text is a time as in RFC 3339, in a year that UTC has as well (1 to 9999)."""
    if not _TIME.fullmatch(text):
        return False
    try:
        when = msgspec.convert(text, datetime)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC) is not None
    except (msgspec.ValidationError, OverflowError):
        return False


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1) if len(name) <= UID_MOST else []
    if near:
        return f"did you mean `{near[0]}`?"
    return f"the parameters are {', '.join(f'`{each}`' for each in known)}" if known else "it takes none"
