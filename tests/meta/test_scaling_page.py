"""docs/scaling.md names queries, settings and benchmarks that exist."""

import re
from pathlib import Path

import promql_parser
import pytest

from relay.config import Settings, variable
from relay.metrics.table import BY_NAME
from tests.bench.__main__ import PARTS

PAGE = (Path(__file__).parents[2] / "docs/scaling.md").read_text()
QUERIES = [text for text in re.findall(r"`([^`\n]+)`", PAGE) if re.search(r"relay_\w+", text)]
SUFFIXES = re.compile(r"_(?:bucket|sum|count)$")


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_can_be_asked(query: str) -> None:
    """It is PromQL, and each of its metrics exists."""
    promql_parser.parse(query)
    asked = set(re.findall(r"relay_\w+", query))
    assert {name for name in asked if name not in BY_NAME and SUFFIXES.sub("", name) not in BY_NAME} == set()


def test_there_are_queries() -> None:
    """So the test above has something to check."""
    assert len(QUERIES) >= 10


def test_every_setting_exists() -> None:
    """A renamed setting leaves the page behind."""
    names = {variable(name) for name in Settings.__dataclass_fields__}
    assert set(re.findall(r"\bRELAY_[A-Z_]+\b", PAGE)) <= names


def test_every_figure_can_be_printed() -> None:
    """Each command names parts that `make bench` has."""
    commands = re.findall(r'make bench ARGS="([^"]+)"', PAGE)
    assert commands
    named = {word for command in commands for word in command.split() if not word.startswith("-")}
    assert {word for word in named if not word.isdigit()} <= PARTS.keys()
