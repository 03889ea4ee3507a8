"""The low-water mark of a route: from where it must be polled again if the store is lost."""


def low_water(cursor: int, *, floor: int, lowest: int | None, oldest: int) -> int:
    """The rowId behind which a new store has to poll, so that no event is missing at any endpoint.

    `floor` is how far the overlap behind the cursor reaches now: rows may still appear there. `lowest` is the smallest
    rowId with a delivery that has not ended (None: there is none). Deliveries of rows up to `oldest` do not count: they
    have waited for longer than a restored relay looks back.

    >>> low_water(900, floor=880, lowest=None, oldest=0), low_water(900, floor=880, lowest=501, oldest=0)
    (880, 500)
    >>> low_water(900, floor=880, lowest=501, oldest=700), low_water(900, floor=880, lowest=890, oldest=0)
    (700, 880)
    """
    mark = min(cursor, floor)
    return mark if lowest is None else min(mark, max(lowest - 1, oldest))
