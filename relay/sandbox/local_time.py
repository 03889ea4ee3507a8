"""Times in another zone than UTC: `tz` moves both the window of dates and the times that are shown."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from relay.sandbox.columns import TIMES, Row


def day_of(row: Row, zone: ZoneInfo | None) -> str:
    """Give the date on which a row happened."""
    return local(str(row.get("triggerDatetime", "")), zone)[:10]


def local(text: str, zone: ZoneInfo | None) -> str:
    """Move a time from UTC to a zone; what is no time, such as `0000-00-00 00:00:00`, stays (hazard H21)."""
    if zone is None:
        return text
    try:
        moved = datetime.fromisoformat(text).replace(tzinfo=UTC).astimezone(zone)
    except (ValueError, OverflowError):
        return text
    return str(moved.replace(tzinfo=None))


def moved(row: Row, zone: ZoneInfo) -> Row:
    """Give a row with its times in a zone."""
    return {name: local(str(value), zone) if name in TIMES else value for name, value in row.items()}
