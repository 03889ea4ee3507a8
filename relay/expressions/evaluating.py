"""Evaluating expressions within limits that jlens keeps. It runs in processes of relay.expressions.process."""

import json
import re
import time
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from jlens import Expression, JlensError

from relay.errors import ExpressionFailed, ExpressionRefused
from relay.expressions.compiling import Cache, position_of
from relay.expressions.functions import BadArgument

LARGEST_RESULT = 1 << 20
"""Bytes of JSON."""
LARGEST_DATA = 8 << 20
LONGEST_TEXT = 1 << 20
MOST_ITEMS = 10_000
"""Of an array that an expression makes."""
DEEPEST_CALLS = 500
DEEPEST_RESULT = 100
SAFE = 2**53
"""Integers beyond it are not exact in JSONata, whose numbers are those of JavaScript."""
_MAYBE_UNSAFE = re.compile(rb"(?:\A|[\[,:\s-])[0-9]{16}")
TOO_SLOW = "The evaluation takes too much time"
TOO_LARGE = "The evaluation takes too much memory"
Kind = Literal["failed", "too_slow", "too_large"]
_KINDS: Mapping[str, Kind] = {
    "U1001": "too_large",  # A limit of size or depth.
    "U1006": "too_slow",  # The budget of steps.
    "D1011": "too_large",  # Calls that are nested too deeply.
    "D1012": "too_slow",
    "D2014": "too_large",  # A range.
    "D2016": "too_large",  # $pad
}
_SAID = ("D3137", "D3141", *(code for code, kind in _KINDS.items() if kind == "too_large"))
"""Errors whose messages have no values of the data, unless the expression puts them there with $error or $assert."""
LONGEST_MESSAGE = 500


class Limits(msgspec.Struct, array_like=True, frozen=True):
    """How much one expression may take."""

    steps: int
    cpu_s: float


class Failure(msgspec.Struct, array_like=True, frozen=True):
    """Why an expression has no result; see relay.errors.ExpressionFailed."""

    name: str
    message: str
    position: int | None
    kind: Kind

    def raised(self) -> ExpressionFailed:
        """As an exception."""
        return ExpressionFailed(self.name, self.message, self.position, self.kind)


def evaluate(
    cache: Cache, expressions: Mapping[str, str], data: bytes, bindings: Mapping[str, bytes], limits: Limits
) -> dict[str, bytes | None] | Failure:
    """The results of all expressions as JSON, None for null and nothing; or the first failure.

    `data` and `bindings` are JSON. Never raises for anything that is in the arguments.
    """
    try:
        text = readable(data)
        bound = {name: msgspec.json.decode(readable(value)) for name, value in bindings.items()}
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        return Failure(next(iter(expressions), ""), f"The data cannot be read: {error}", None, "failed")
    results: dict[str, bytes | None] = {}
    for name, expression in expressions.items():
        try:
            results[name] = _result(_within(cache.get(expression), text, bound, limits))
        except ExpressionRefused as error:
            return Failure(name, error.message, error.position, "failed")
        except JlensError as error:
            return Failure(name, _message(error), position_of(error), _KINDS.get(error.code, "failed"))
        except BadArgument as error:
            return Failure(name, str(error), getattr(error, "position", None), "failed")
        except MemoryError:
            return Failure(name, TOO_LARGE, None, "too_large")
        except (ValueError, RecursionError, TooDeep) as error:
            return Failure(name, str(error), None, "failed")
    return results


def readable(data: bytes) -> str:
    """JSON in which integers beyond 2^53 are texts, so that they keep their digits. Raises ValueError."""
    if len(data) > LARGEST_DATA:
        raise ValueError(f"it has more than {LARGEST_DATA:,} bytes")
    if _MAYBE_UNSAFE.search(data) is None and b"\\ud" not in data and b"\\uD" not in data:
        return data.decode()
    value = json.loads(data, parse_int=_integer)
    return json.dumps(value, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _integer(digits: str) -> int | str:
    return digits if len(digits) > len(str(SAFE)) + 1 or abs(int(digits)) > SAFE else int(digits)


def _within(expression: Expression, data: str, bindings: dict[str, Any], limits: Limits) -> str | None:
    """The result. The clock is at zero and chance is fixed, so that the same data always has the same result.

    jlens ends an evaluation by the time that passes. If the process got less CPU time than `limits` allow in this time,
    the machine was busy, and the evaluation gets more time.
    """
    within_s = limits.cpu_s
    while True:
        began = time.process_time()
        try:
            return expression.evaluate_json(
                data,
                bindings,
                timeout=within_s,
                max_depth=DEEPEST_CALLS,
                max_steps=limits.steps,
                max_string_length=LONGEST_TEXT,
                max_array_length=MOST_ITEMS,
                max_result_size=LARGEST_RESULT,
                now=0,
                seed=0,
            )
        except JlensError as error:
            if error.code != "D1012" or time.process_time() - began >= 0.8 * limits.cpu_s:
                raise
            within_s *= 4


class TooDeep(Exception):  # noqa: N818 - named for what it says
    """A result is nested too deeply."""


def _result(text: str | None) -> bytes | None:
    if text is None or text == "null":
        return None
    if text.count("[") + text.count("{") > DEEPEST_RESULT and _depth(json.loads(text)) > DEEPEST_RESULT:
        raise TooDeep(f"The result is nested more than {DEEPEST_RESULT} levels deep")
    return text.encode()


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    return depth


def _message(error: JlensError) -> str:
    """What the error says, without values of the data: they may be about a person, and messages get around."""
    message = str(error)
    if error.code in ("D1012", "U1006"):
        return TOO_SLOW
    if error.code in _SAID:
        return message[:LONGEST_MESSAGE]
    for shown in _spellings(error.value):
        message = message.replace(shown, "…")
    return message[:LONGEST_MESSAGE]


def _spellings(value: Any) -> list[str]:
    """How a value may be written in a message."""
    if value is None:
        return []
    written = [json.dumps(value, ensure_ascii=plain, separators=(",", ":")) for plain in (False, True)]
    return [each for each in (*written, str(value)) if len(each) > 1]
