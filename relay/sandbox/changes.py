"""What happens to a row after it was first shown, under the same rowId (hazard H14)."""

from collections.abc import Callable
from random import Random

from relay.sandbox.calls import notes
from relay.sandbox.catalogue import QUALIFIED, RATINGS
from relay.sandbox.columns import Row
from relay.sandbox.hazards import Name

Change = Callable[[Random, Row], Row]
"""A row as it is -> the row as it becomes."""


def _rated(random: Random, row: Row) -> Row:
    others = [rating for rating in RATINGS if rating != row.get("callRating")]
    return {**row, "callRating": random.choice(others)}


def _goal_gained(_random: Random, row: Row) -> Row:
    if row.get("goal", "0") not in {"", "0"}:
        return {**row, "goalValue": "75.00"}
    return {**row, **QUALIFIED, "goalValue": "25.00", "goalCurrency": "GBP"}


def _note_added(random: Random, row: Row) -> Row:
    added = notes(random, at=str(row.get("triggerDatetime", "")))
    had = str(row.get("notes", ""))
    # Both are lists in JSON: the first without its end, the second without its beginning.
    return {**row, "notes": f"{had[:-1]}, {added[1:]}" if had.startswith("[{") else added}


def _transcribed(random: Random, row: Row) -> Row:
    confidence = random.randrange(60, 100)
    return {**row, "callTranscription": "1", "transcriptionConfidence": f"{confidence}.{random.randrange(10)}"}


CHANGES: dict[Name, Change] = {
    Name.RATED: _rated,
    Name.GOAL_GAINED: _goal_gained,
    Name.NOTE_ADDED: _note_added,
    Name.TRANSCRIBED: _transcribed,
}
"""Each happens to rows whose act is `call`."""
