"""docs/transformations.md: every example gives the result that stands beside it."""

import json
import re
from pathlib import Path

import pytest

from relay.expressions import evaluating
from relay.expressions.compiling import LONGEST, Cache, check
from relay.expressions.evaluating import Failure, evaluate
from relay.expressions.evaluator import BRIEF, FULL
from relay.expressions.functions import FUNCTIONS, REFUSED
from relay.expressions.process import MEMORY_BYTES

PAGE = (Path(__file__).parents[3] / "docs/transformations.md").read_text()
EVENT, WRITTEN = re.findall(r"```json\n(.+?)\n```", PAGE, re.DOTALL)
ROWS = re.findall(r"^\|(?: [^|`]+ \|)? `([^|]+)` \| (?:`([^|]+)`|nothing) \|$", PAGE, re.MULTILINE)


def result(expression: str) -> object:
    check(expression)
    results = evaluate(Cache(), {"x": expression}, EVENT.encode(), {}, BRIEF)
    assert not isinstance(results, Failure), results
    return None if results["x"] is None else json.loads(results["x"])


@pytest.mark.parametrize(("expression", "shown"), ROWS, ids=[row[0] for row in ROWS])
def test_an_example_has_the_result_that_is_shown(expression: str, shown: str) -> None:
    """Each row of the tables."""
    assert result(expression) == (json.loads(shown) if shown else None)


def test_the_first_example_has_the_body_that_is_shown() -> None:
    """The object at the top."""
    (expression,) = re.findall(r"```jsonata\n(.+?)\n```", PAGE, re.DOTALL)
    assert result(expression) == json.loads(WRITTEN)


def test_the_page_names_every_function_and_every_limit() -> None:
    """What is added later must be added there too."""
    assert len(ROWS) >= 30
    assert set(re.findall(r"^\| `\$(\w+)\([a-z, ]+\)` \|", PAGE, re.MULTILINE)) == set(FUNCTIONS)
    assert {name for name in REFUSED if f"`${name}`" in PAGE} == set(REFUSED)
    limits = dict(re.findall(r"^\| ([a-zA-Z ]+) \| ([0-9][^|]+) \|$", PAGE, re.MULTILINE))
    assert limits == {
        "length of an expression": f"{LONGEST:,} characters",
        "nesting of an expression": "1,000 levels",
        "CPU time of an evaluation": f"{FULL.cpu_s:g} s",
        "steps of an evaluation": f"{FULL.steps:,}",
        "nesting of calls": str(evaluating.DEEPEST_CALLS),
        "items of an array that an expression makes": f"{evaluating.MOST_ITEMS:,}",
        "length of a text that an expression makes": f"{evaluating.LONGEST_TEXT >> 20} MiB",
        "memory of an evaluation": f"{MEMORY_BYTES >> 20} MiB",
        "data": f"{evaluating.LARGEST_DATA >> 20} MiB, 127 levels",
        "result": f"{evaluating.LARGEST_RESULT >> 20} MiB, {evaluating.DEEPEST_RESULT} levels",
    }
    assert f"more than {BRIEF.cpu_s * 1000:g} ms or {BRIEF.steps:,} steps" in PAGE
