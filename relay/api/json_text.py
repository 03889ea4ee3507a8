"""Request bodies as text: strict JSON in UTF-8 (RFC 8259), with a limited depth."""

import json
import re
from typing import Any, NoReturn

from litestar.exceptions import ClientException, HTTPException

MAX_DEPTH = 32
"""Levels of arrays and objects. Filters are the deepest bodies, and have fewer than half as many."""
TOO_LARGE = 1 << 64
"""Replaces every integer with more digits than 64 bits have, because converting those takes quadratic time."""

_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


class RepeatedKeys(dict[str, Any]):
    """An object with repeated keys. It is refused, because parsers differ in which value they use."""

    repeated: tuple[str, ...] = ()


def parse_json(body: bytes) -> Any:
    """Parse a body. Raises ClientException (400) that says why it is not JSON, and where."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        _refuse(f"it is not UTF-8: byte {error.start} cannot be decoded")
    if text.startswith("\ufeff"):
        _refuse("it begins with a byte order mark: send UTF-8 without one")
    if _is_too_deep(text):
        _refuse(f"it is nested too deeply: {MAX_DEPTH} levels are allowed")
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant, parse_int=_integer)
    except json.JSONDecodeError as error:
        _refuse(f"{error.msg[:1].lower()}{error.msg[1:]} at line {error.lineno}, column {error.colno}")


def check_content_type(given: tuple[str, dict[str, str]], encoding: str) -> None:
    """Raise HTTPException (415) unless the headers say JSON in UTF-8, or say nothing."""
    kind, options = given
    kind = kind.strip().lower()
    if kind and kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise _unsupported("the content-type must be application/json")
    if options.get("charset", "utf-8").strip("\"'").lower() not in ("utf-8", "utf8", "us-ascii"):
        raise _unsupported("the charset of the body must be utf-8")
    if encoding.strip().lower() not in ("", "identity"):
        raise _unsupported("the body must be sent without a content-encoding")


def _is_too_deep(text: str) -> bool:
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub("", text)):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    whole = dict(pairs)
    if len(whole) == len(pairs):
        return whole
    seen = set[str]()
    repeated = RepeatedKeys(whole)
    repeated.repeated = tuple(dict.fromkeys(key for key, _ in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
    return repeated


def _integer(digits: str) -> int:
    return int(digits) if len(digits) <= 20 else TOO_LARGE


def _no_constant(name: str) -> NoReturn:
    _refuse(f"{name} is not a JSON value")


def _refuse(why: str) -> NoReturn:
    raise ClientException(f"the body is not valid JSON: {why}") from None


def _unsupported(why: str) -> HTTPException:
    return HTTPException(status_code=415, detail=why)
