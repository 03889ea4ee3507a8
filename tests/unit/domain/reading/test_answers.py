"""What an answer shows before its lines are decoded."""

import pytest

from relay.domain.reading.answers import is_history, row_ids_alone

NOW_MS = 1_790_000_000_000
"""2026-09-21 14:13:20."""


def test_row_ids_alone() -> None:
    """As text or as numbers, with or without spaces."""
    assert row_ids_alone([b'{"rowId":"12"}', b' { "rowId" : 13 } ']) == [12, 13]
    assert row_ids_alone([]) == []


def test_whole_rows_are_told_apart() -> None:
    """An upstream that ignores display[] shows them."""
    assert row_ids_alone([b'{"rowId":"12","act":"call"}', b'{"rowId":"13","act":"call"}']) is None
    assert row_ids_alone([b'{"id":"12"}']) is None


@pytest.mark.parametrize(
    "odd", [b'{"rowId":"13","act":"call"}', b'{"rowId":"13"', b'{"rowId":"0"}', b"x" * 200, b'{"rowId":"13",}']
)
def test_a_mixture_is_neither(odd: bytes) -> None:
    """A row of nothing but its rowId would look as if it had lost all its columns."""
    with pytest.raises(ValueError, match="some lines"):
        row_ids_alone([b'{"rowId":"12"}', odd])


def row(time: str) -> bytes:
    return b'{"rowId":"1","triggerDatetime":"%s","act":"sale"}' % time.encode()


def test_history() -> None:
    """A page is as old as its newest row, and a day of time zones is granted."""
    old = [row("2026-09-12 14:13:00"), row("2025-01-01 00:00:00")]
    assert is_history(old, now_ms=NOW_MS, older_s=8 * 86_400)
    assert not is_history(old, now_ms=NOW_MS, older_s=9 * 86_400)
    assert not is_history([*old, row("2026-09-21 14:00:00")], now_ms=NOW_MS, older_s=8 * 86_400)
    assert not is_history([*old, row("2027-01-01 23:59:59")], now_ms=NOW_MS, older_s=8 * 86_400)


def test_what_shows_no_time_is_not_history() -> None:
    """Nor is what shows another one than the upstream's, such as the zero date of a row."""
    assert not is_history([b'{"rowId":"1","act":"sale"}'], now_ms=NOW_MS, older_s=1)
    assert not is_history([b'{"rowId":"1","triggerDatetime":"yesterday"}'], now_ms=NOW_MS, older_s=1)
    assert not is_history([row("0000-00-00 00:00:00")], now_ms=NOW_MS, older_s=1)
