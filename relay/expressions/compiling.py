"""Compiling expressions, and checking them before they are stored."""

import re
from collections import OrderedDict
from collections.abc import Collection

from jlens import Expression, JlensError

from relay.errors import ExpressionRefused
from relay.expressions.functions import FUNCTIONS, REFUSED, SHADOWS

LONGEST = 16_384
"""Characters of an expression. jlens refuses expressions that are nested more than 1,000 levels deep."""
CACHED_CHARACTERS = 1 << 20
"""All compiled expressions of a process together. A compiled expression takes about 40 bytes a character."""
_PARTS = re.compile(
    r"""
    "(?:[^"\\]|\\.)*+" | '(?:[^'\\]|\\.)*+' | `[^`]*+`  # a text, or a quoted name
    | /\*.*?\*/  # a comment
    | (?<=[(,=>\[:;{?&|])\s*+/(?!\*)(?:[^/\\]|\\.)++/  # a regular expression
    | \$([A-Za-z_][A-Za-z0-9_]*+)
    """,
    re.DOTALL | re.VERBOSE,
)
"""Variables, and everything in which a dollar sign is no variable."""


RESULT_OF_LOOKUP = "$lookup is the result of the endpoint's lookup: use $pick in place of JSONata's function $lookup"


def compile_expression(text: str) -> Expression:
    """An expression that is ready to be evaluated. Raises ExpressionRefused if it does not parse."""
    if len(text) > LONGEST:
        raise ExpressionRefused(f"The expression has more than {LONGEST:,} characters", LONGEST)
    try:
        expression = Expression(text)
    except JlensError as error:
        raise ExpressionRefused(str(error), position_of(error)) from None
    except UnicodeEncodeError as error:
        raise ExpressionRefused("The expression has half of a surrogate pair", error.start) from None
    for name, function in FUNCTIONS.items():
        expression.register_function(name, function.call, function.signature)
    for name, refuse in SHADOWS.items():
        expression.register_function(name, refuse)
    return expression


def position_of(error: JlensError) -> int | None:
    """The index of the first character that the error is about."""
    return error.position if error.start is None else error.start


def check(text: str, *, bindings: Collection[str] = ()) -> None:
    """Raise ExpressionRefused unless an expression parses and uses only what there is.

    `bindings`: the names, without `$`, of the variables that its evaluation will have, in addition to those that
    the expression itself sets.
    """
    read = compile_expression(text).reads()["bindings"]
    unknown = set(read) - FUNCTIONS.keys() - set(bindings)
    variables = [(found[1], found.start(), found.end()) for found in _PARTS.finditer(text) if found[1]]
    # A function may read a variable that is set after it was defined.
    unknown -= {name for name, _, end in variables if text[end:].lstrip().startswith(":=")}
    for name, start, end in variables:
        if name == "lookup" and name in bindings and text[end:].lstrip().startswith("("):
            raise ExpressionRefused(RESULT_OF_LOOKUP, start)
        if name in REFUSED:
            raise ExpressionRefused(REFUSED[name], start)
        if name in unknown:
            raise ExpressionRefused(_unknown(name, text, start, bindings), start)
    if unknown:
        raise ExpressionRefused(_unknown(min(unknown), text, None, bindings), None)


def _unknown(name: str, text: str, at: int | None, bindings: Collection[str]) -> str:
    if at is not None and text[at + len(name) + 1 :].lstrip().startswith("("):
        return f"There is no function ${name}"
    known = ", ".join(f"${each}" for each in sorted(bindings)) or "none"
    return f"There is no variable ${name}. The expression does not set it, and the variables here are: {known}"


class Cache:
    """Compiled expressions, the last used ones."""

    def __init__(self, most_characters: int = CACHED_CHARACTERS) -> None:
        self._most = most_characters
        self._size = 0
        self._compiled: OrderedDict[str, Expression] = OrderedDict()

    def __len__(self) -> int:
        return len(self._compiled)

    def get(self, text: str) -> Expression:
        """As compile_expression."""
        if (known := self._compiled.get(text)) is not None:
            self._compiled.move_to_end(text)
            return known
        compiled = self._compiled[text] = compile_expression(text)
        self._size += len(text)
        while self._size > self._most:
            oldest, _ = self._compiled.popitem(last=False)
            self._size -= len(oldest)
        return compiled
