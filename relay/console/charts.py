"""Charts as geometry, which a template writes as SVG: stacked bars over time. Lengths are in units of the view box."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from relay.console.words import moment, number

WIDTH, HEIGHT, LEFT, BOTTOM = 720, 200, 44, 172
TOP, RIGHT = 8, 18
"""What is left free above the bars, and behind them for the last label, which can be wider than its slot."""
GAP = 0.28
"""The share of a slot that is left free around its bar."""
TICKS = 6
MOST_SLOTS = 400


class Series(NamedTuple):
    """One kind of value in each slot."""

    key: str
    """Its name in a bucket of the API."""
    name: str
    tone: str
    total: int = 0


class Bar(NamedTuple):
    """A part of a slot."""

    x: float
    y: float
    width: float
    height: float
    tone: str


class Slot(NamedTuple):
    """A span of time: its bars, one over the other, and what they say in words."""

    x: float
    width: float
    title: str
    bars: Sequence[Bar]


class Mark(NamedTuple):
    """A text at a place of an axis."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that the template draws."""

    slots: Sequence[Slot]
    lines: Sequence[Mark]
    """The lowest first."""
    ticks: Sequence[Mark]
    legend: Sequence[Series]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    bottom: int = BOTTOM


def stacked(
    buckets: Iterable[Mapping[str, Any]], series: Sequence[Series], *, since: str, until: str, step_s: int
) -> Chart:
    """Bars of buckets with `at` and a count for each series. Spans without a bucket are empty.

    Raises ValueError for times that cannot be read.
    """
    begin = math.floor(moment(since).timestamp() / step_s) * step_s
    count = min(max(1, math.ceil((moment(until).timestamp() - begin) / step_s)), MOST_SLOTS)
    by_slot = {round((moment(each["at"]).timestamp() - begin) / step_s): each for each in buckets}
    rows = [[int(by_slot.get(place, {}).get(one.key, 0)) for one in series] for place in range(count)]
    top = _rounded(max(map(sum, rows)))
    width = (WIDTH - RIGHT - LEFT) / count
    slots = [
        _slot(LEFT + place * width, width, row, series, top, datetime.fromtimestamp(begin + place * step_s, UTC))
        for place, row in enumerate(rows)
    ]
    halves = (0, 1) if top == 1 else (0, 0.5, 1)
    lines = [Mark(0, _y(top * part, top), number(top * part)) for part in halves]
    return Chart(
        slots,
        lines,
        _ticks(begin, count, step_s, width),
        [one._replace(total=sum(row[place] for row in rows)) for place, one in enumerate(series)],
    )


def _slot(x: float, width: float, row: Sequence[int], series: Sequence[Series], top: float, at: datetime) -> Slot:
    bars, below = list[Bar](), 0
    for value, one in zip(row, series, strict=True):
        if value:
            y = _y(below + value, top)
            # A single failure among thousands must be seen.
            height = max(_y(below, top) - y, 2.0)
            bars.append(_bar(x + width * GAP / 2, y, width * (1 - GAP), height, one.tone))
        below += value
    said = ", ".join(f"{one.name.lower()} {value:,}" for value, one in zip(row, series, strict=True))
    return Slot(round(x, 2), round(width, 2), f"{at:%Y-%m-%d %H:%M} UTC: {said}", bars)


def _bar(x: float, y: float, width: float, height: float, tone: str) -> Bar:
    return Bar(round(x, 2), round(y, 2), round(width, 2), round(height, 2), tone)


def _ticks(begin: float, count: int, step_s: int, width: float) -> list[Mark]:
    every = max(1, math.ceil(count / TICKS))
    return [
        Mark(round(LEFT + (place + 0.5) * width, 1), 0, f"{datetime.fromtimestamp(begin + place * step_s, UTC):%H:%M}")
        for place in range(every // 2, count, every)
    ]


def _y(value: float, top: float) -> float:
    return round(BOTTOM - (BOTTOM - TOP) * value / top, 2)


def _rounded(most: int) -> int:
    """The end of an axis: 1, 2, 4, 5 or 10 times a power of ten, and even if it can be halved.

    >>> [_rounded(most) for most in (0, 1, 3, 17, 99, 1201)]
    [1, 1, 4, 20, 100, 2000]
    """
    if most <= 1:
        return 1
    power = int(10 ** math.floor(math.log10(most)))
    return next(step * power for step in (1, 2, 4, 5, 10) if step * power >= most)
