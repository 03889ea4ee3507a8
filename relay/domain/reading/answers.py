"""What the lines of an answer show before any of them is decoded: rowIds alone, or rows that are history."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

_ROW_ID_ALONE = re.compile(rb'\s{0,8}\{\s{0,8}"rowId"\s{0,8}:\s{0,8}"?([1-9][0-9]{0,18})"?\s{0,8}\}\s{0,8}')
_TIME = re.compile(rb'"triggerDatetime"\s{0,8}:\s{0,8}"([1-9][0-9]{3}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2})"')
LONGEST_ALONE = 100
"""Bytes of a line with a rowId alone."""
LOOKED_AT = 100
DAY_S = 86_400
"""Times come without an offset (hazard H20)."""


def row_ids_alone(lines: Sequence[bytes]) -> list[int] | None:
    """The rowIds of an answer of nothing else; None: the upstream ignored `display[]`, and sent whole rows.

    Raises ValueError if the answer is neither: a line with a rowId alone must never be taken for a row.
    """
    found = [_ROW_ID_ALONE.fullmatch(line) if len(line) <= LONGEST_ALONE else None for line in lines]
    alone = [int(match[1]) for match in found if match]
    if len(alone) == len(lines):
        return alone
    if alone:
        raise ValueError("some lines of the answer are whole rows, and some are rowIds alone")
    return None


def is_history(lines: Sequence[bytes], *, now_ms: int, older_s: float) -> bool:
    """Whether the newest time in a page is that old, and a day more. A page that shows no time is not history.

    Single rows can have any time (hazard H12), so this asks for a page full of them. Of a large one it looks at the
    last rows, which are the newest, and at some of the others.
    """
    some = [*lines[:: max(1, len(lines) // LOOKED_AT)], *lines[-LOOKED_AT:]]
    newest = max((match[1] for line in some if (match := _TIME.search(line))), default=None)
    if newest is None:
        return False
    limit = datetime.fromtimestamp(now_ms / 1000 - older_s - DAY_S, UTC)
    return newest < limit.strftime("%Y-%m-%d %H:%M:%S").encode()
