"""A payload in a few lines: whole columns only, and how many more there are."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

INDENT = "  "
REPEATED = ("rowId", "igrp", "triggerDatetime")
EMPTY = (None, "", "0", 0)


def payload_lines(payload: Mapping[str, Any], *, width: int, height: int) -> list[str]:
    """The beginning of an event's body as JSON, in at most `height` lines of `width` characters.

    As many columns as fit share a line. Columns that are empty, or repeat what the first lines say, come last. The last
    line says how many are left out.
    """
    data = dict(payload.get("data", {}))
    row = dict(data.pop("trigger", {}))
    head = _items({name: value for name, value in payload.items() if name != "data"} | data)
    columns = _items(dict(sorted(row.items(), key=lambda column: column[0] in REPEATED or column[1] in EMPTY)))
    lines = _packed(head, width)
    used = 0
    for line, count in _counted(columns, width - len(INDENT)):
        left = len(columns) - used
        # The last line is for the rest, if this one does not end it.
        if len(lines) >= height - (count < left):
            break
        lines.append(INDENT + line)
        used += count
    if used < len(columns):
        lines = [*lines[: height - 1], f"{INDENT}… and {len(columns) - used} more columns"]
    return lines


def _items(values: Mapping[str, Any]) -> list[str]:
    return [f'"{name}": {json.dumps(value, ensure_ascii=False)}' for name, value in values.items()]


def _packed(items: list[str], width: int) -> list[str]:
    return [line for line, _ in _counted(items, width)]


def _counted(items: list[str], width: int) -> Iterator[tuple[str, int]]:
    """Lines of items with the number of items in each. An item that is longer than a line has one of its own, cut."""
    line, count = "", 0
    for item in items:
        text = f"{item}," if len(item) < width else f"{item[: width - 2]}…,"
        if line and len(line) + 1 + len(text) > width:
            yield line, count
            line, count = "", 0
        line, count = f"{line} {text}".lstrip(), count + 1
    if line:
        yield line, count
