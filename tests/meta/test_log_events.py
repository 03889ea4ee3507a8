"""docs/logs.md lists every event of the log, at its levels, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.observability.repeats import EACH, IDENTITY, REPEATED

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/logs.md").read_text()
MODULES = sorted(path for part in ("relay", "workers") for path in ROOT.glob(f"{part}/**/*.py"))
LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error"} | {
    "critical": "critical"
}
Calls = list[tuple[str, str, set[str]]]
"""Event, level, and the names of fields that stand in the call."""


def calls(tree: ast.Module) -> Iterator[ast.Call]:
    """Calls of a logger."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
            of = ast.unparse(node.func.value)
            if of in ("log", "structlog.get_logger()"):
                yield node


def logged() -> Calls:
    """What the code logs. An event is a literal, so that it can be searched for."""
    found: Calls = []
    for module in MODULES:
        for call in calls(ast.parse(module.read_text())):
            assert isinstance(call.func, ast.Attribute)
            assert call.args, f"{module}: a log line without an event"
            event = call.args[0]
            assert isinstance(event, ast.Constant), f"{module}:{call.lineno}: name the event"
            assert isinstance(event.value, str)
            names = {keyword.arg for keyword in call.keywords if keyword.arg}
            found.append((event.value, LEVELS[call.func.attr], names))
    return found


LOGGED = logged()
LISTED = re.findall(r"^\| `([a-z_]+)` \| ([a-z, ]+) \| (.+) \|$", PAGE, re.MULTILINE)


def test_the_page_lists_every_event_with_its_levels() -> None:
    """An event that is not listed cannot be looked up, and one that is not written any more misleads."""
    levels: dict[str, set[str]] = {}
    for event, level, _ in LOGGED:
        levels.setdefault(event, set()).add(level)
    assert {event: set(level.split(", ")) for event, level, _ in LISTED} == levels


def test_no_event_is_listed_twice() -> None:
    """Each has one row."""
    names = [event for event, _, _ in LISTED]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("event", sorted({event for event, _, _ in LOGGED}))
def test_events_are_snake_case(event: str) -> None:
    """As all of them are."""
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", event)


def test_the_page_describes_how_lines_repeat() -> None:
    """The fields that tell lines apart, and the events that are never counted, are those of the code."""
    assert f"`{REPEATED}`" in PAGE
    assert [name for name in (*IDENTITY, *EACH) if f"`{name}`" not in PAGE] == []
