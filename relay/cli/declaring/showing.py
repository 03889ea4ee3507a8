"""A plan as people and programs read it, without secrets."""

import difflib
import json
from collections.abc import Iterable, Iterator
from typing import Any

from relay.cli.declaring.hiding import Hiding, without_secrets
from relay.cli.declaring.planning import Change, Difference

SIGNS = {"create": "+", "change": "~", "start": ">", "delete": "-"}
AGAIN = "the secret is sent again"


def lines(changes: Iterable[Change], hiding: Hiding) -> Iterator[str]:
    """The plan as text: a line for each object, and those of its fields below."""
    for change in changes:
        yield f"{SIGNS[change.action]} {change.title}"
        for each in change.differences:
            yield from _field(change, each, hiding)


def summary(changes: list[Change]) -> str:
    """How many changes there are."""
    counts = {action: sum(change.action == action for change in changes) for action in SIGNS}
    said = [f"{number} to {action}" for action, number in counts.items() if number]
    return ", ".join(said) if said else "Nothing differs"


def as_json(changes: Iterable[Change], hiding: Hiding) -> list[dict[str, Any]]:
    """The plan for programs."""
    return [
        {
            "action": change.action,
            "kind": change.kind,
            "uid": change.uid,
            "app": change.app,
            "fields": [_in_json(change, each, hiding) for each in change.differences],
        }
        for change in changes
    ]


def _in_json(change: Change, each: Difference, hiding: Hiding) -> dict[str, Any]:
    if each.again:
        return {"name": each.name, "sentAgain": True}
    before, after = _shown(change, each, hiding)
    return {"name": each.name, "before": before, "after": after}


def _shown(change: Change, each: Difference, hiding: Hiding) -> tuple[Any, Any]:
    before, after = (
        hiding.value(without_secrets(each.name, value, url_is_secret=change.url_is_secret))
        for value in (each.before, each.after)
    )
    return before, after


def _field(change: Change, each: Difference, hiding: Hiding) -> Iterator[str]:
    if each.again:
        yield f"    {each.name}: {AGAIN}"
        return
    before, after = _shown(change, each, hiding)
    if change.action == "create":
        yield from _value(f"    {each.name}:", after)
    elif isinstance(before, str) and isinstance(after, str) and "\n" in before + after:
        yield f"    {each.name}:"
        compared = difflib.unified_diff(before.splitlines(), after.splitlines(), n=1, lineterm="")
        yield from (f"      {line}" for line in list(compared)[2:])
    else:
        yield f"    {each.name}: {_json(before)} -> {_json(after)}"


def _value(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, str) and "\n" in value:
        yield name
        yield from (f"      {line}" for line in value.splitlines())
    else:
        yield f"{name} {_json(value)}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


ASKED = 5
"""How many objects a question names. The lines above it have all of them."""
KINDS = ("source", "application", "endpoint")
"""What keeps most comes first."""


def question(changes: Iterable[Change]) -> str | None:
    """What a person has to agree to; None: nothing is deleted."""
    deleted = sorted((each for each in changes if each.action == "delete"), key=lambda each: KINDS.index(each.kind))
    if not deleted:
        return None
    more = f" and {len(deleted) - ASKED} more" if len(deleted) > ASKED else ""
    return f"Delete {', '.join(each.title for each in deleted[:ASKED])}{more}, with what they keep?"
