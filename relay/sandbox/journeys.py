"""Rows from a seed number: what the visitors and callers of an invented company do, in the order it is written down.

A visitor lands, looks at pages, calls, is rated, buys; many do so at once. Rows get rowIds in the order in which they
are written, which is not the order of their times (hazard H12), and about 30 % of the ids are missing, as if a sequence
were shared with other installations (hazard H10). The same seed gives the same rows, always.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count as numbers
from itertools import islice
from random import Random

from relay.sandbox.calls import Stamp, Step, call_steps
from relay.sandbox.catalogue import BOUGHT, BROCHURE, CUSTOM_ACTS, OFFLINE_CHANNEL, PAGES
from relay.sandbox.columns import SALE, SHARED, Row
from relay.sandbox.visitors import origin, visitor

FIRST_ROW_ID = 141_247_288
"""The first id of the upstream's own example: ids do not begin at 1."""
START = datetime(2026, 1, 5, 8)  # noqa: DTZ001 - the upstream's times have no offset (hazard H20)
"""When the made time begins."""
ROWS_PER_SECOND = 0.6
"""Of the made time, on average."""

_GAP = 0.31
_SECONDS_BETWEEN_JOURNEYS = 6.0
_WARM_UP_ROWS = 600
"""Left out at the beginning, where everybody would still be landing."""
WARM_UP_S = _WARM_UP_ROWS / ROWS_PER_SECOND
"""So long before the first row the made time begins, about."""


def rows(
    seed: int,
    count: int | None = None,
    *,
    igrp: int = 1,
    first_row_id: int = FIRST_ROW_ID,
    start: datetime = START,
    pace: float = 1.0,
) -> Iterator[Row]:
    """Make `count` trigger rows (None: without end), in ascending order of rowId.

    `start` is when the made time begins, in UTC without an offset. `pace` says how many seconds of it pass in a second
    of the rows' times.

    >>> [row["rowId"] for row in rows(7, 2)] == [row["rowId"] for row in rows(7, 2)]
    True
    """
    random = Random(seed)
    stop = None if count is None else _WARM_UP_ROWS + count
    row_id = first_row_id
    for row in islice(_written(random, igrp=igrp, start=start, pace=pace), _WARM_UP_ROWS, stop):
        row["rowId"] = str(row_id)
        yield row
        row_id += 1
        while random.random() < _GAP:
            row_id += 1


def _written(random: Random, *, igrp: int, start: datetime, pace: float) -> Iterator[Row]:
    def stamp(at_s: float) -> str:
        return str(start + timedelta(seconds=int(at_s / pace)))

    waiting: list[tuple[float, int, Row]] = []
    order = numbers()
    now_s = 0.0
    while True:
        for at_s, row in _journey(random, now_s, igrp=igrp, stamp=stamp):
            heappush(waiting, (at_s + random.expovariate(0.5), next(order), row))
        now_s += random.expovariate(1 / _SECONDS_BETWEEN_JOURNEYS)
        while waiting and waiting[0][0] <= now_s:
            yield heappop(waiting)[2]


def _journey(random: Random, begins_s: float, *, igrp: int, stamp: Stamp) -> Iterator[Step]:
    kind = random.random()
    if kind < 0.1:
        caller = {**SHARED, **SALE, **origin(random, igrp=igrp), **OFFLINE_CHANNEL}
        return call_steps(random, caller, begins_s, stamp=stamp)
    if kind < 0.15:
        return iter([(begins_s, _late_sale(random, begins_s, igrp=igrp, stamp=stamp))])
    return _visit(random, begins_s, igrp=igrp, stamp=stamp)


def _visit(random: Random, begins_s: float, *, igrp: int, stamp: Stamp) -> Iterator[Step]:
    who = visitor(random, igrp=igrp, first_seen=stamp(begins_s))
    at_s = begins_s
    yield at_s, {**who, "act": "land", "triggerDatetime": stamp(at_s), "pageTitle": "Harbour Windows"}
    for seen in range(1, random.randrange(5)):
        at_s += random.uniform(5, 60)
        page = random.choice(PAGES)
        row = {**who, "act": "page", "triggerDatetime": stamp(at_s), "href": f"https://www.harbour.example{page}"}
        row |= {"pageTitle": f"Harbour Windows – {page}", "visitorPageCount": str(seen)}
        yield at_s, row | BROCHURE if page == "/brochure" else row
    if random.random() < 0.08:
        row = {**who, "act": random.choice(CUSTOM_ACTS), "triggerDatetime": stamp(at_s), "t": "Price list"}
        yield at_s + 2, row | {"c_variant": random.choice("AB"), "c_abtasty_campaignId": "1204"}
    if random.random() < 0.4:
        at_s += random.uniform(5, 90)
        landing = {"landingPageUrl": who["href"], "conversionPageUrl": f"{who['href']}#call"}
        yield from call_steps(random, {**who, **SALE, **landing}, at_s, stamp=stamp)
    if random.random() < 0.1:
        at_s += random.uniform(30, 900)
        bought = {**who, **SALE, **BOUGHT, **_purchase(random), "triggerDatetime": stamp(at_s)}
        yield at_s, bought | {"act": random.choice(("sale", "SALE", "TRANSACTION"))}


def _late_sale(random: Random, begins_s: float, *, igrp: int, stamp: Stamp) -> Row:
    # What a CRM reports afterwards: stamped with a moment long gone, or with the end of today, which is yet to come.
    at = stamp(begins_s - random.uniform(3600, 30 * 86_400))
    if random.random() < 0.5:
        at = f"{stamp(begins_s)[:10]} 23:59:59"
    sale = {**SHARED, **SALE, **origin(random, igrp=igrp), **OFFLINE_CHANNEL, **_purchase(random)}
    return sale | {"act": "sale", "t": "Order taken", "triggerDatetime": at}


def _purchase(random: Random) -> Row:
    # References that start with `test` are void and still in the feed (hazard H24).
    reference = f"{'test-' if random.random() < 0.05 else 'HW-'}{random.randrange(10**5)}"
    return {
        "txr": reference,
        "txv": f"{random.randrange(2000, 90000) / 100:.2f}",
        "txc": random.choice(("GBP", "GBP", "EUR")),
        "outcomeType": random.choice(("", "", "V")),
    }
