"""What the upstream showed, times who wanted it, against what arrived: lost, doubled, out of order, late.

Nothing here asks the relay. An endpoint's wish is stated once for the relay, as a filter, and once for this checker, as
the rows that are addressed to it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.bench.measuring import percentile
from tests.fault.recorder import Arrival
from tests.fault.upstream import Offered

Delivery = tuple[str, int]
"""A path and a row."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run did to its deliveries."""

    expected: int
    lost: list[Delivery] = field(default_factory=list)
    """Shown and wanted, and never accepted."""
    unasked: list[Delivery] = field(default_factory=list)
    """Arrived where nobody wanted it."""
    doubled: Counter[Delivery] = field(default_factory=Counter)
    """How often each was accepted after it had been accepted."""
    renamed: list[Delivery] = field(default_factory=list)
    """Came under more than one webhook-id."""

    @property
    def duplicates(self) -> int:
        """All acceptances beyond the first."""
        return self.doubled.total()


def check(
    shown: Mapping[int, float], offered: Iterable[Offered], paths: Iterable[str], arrivals: Sequence[Arrival]
) -> Verdict:
    """Compare. A row goes to the path that it is addressed to; one addressed to '*' goes to all `paths`."""
    everyone = tuple(paths)
    wanted = {
        (path, each.row)
        for each in offered
        if each.row in shown
        for path in (everyone if each.to == "*" else (each.to,))
    }
    accepted = Counter((a.path, a.row) for a in arrivals if a.accepted)
    names: dict[Delivery, set[str]] = defaultdict(set)
    for arrival in arrivals:
        names[arrival.path, arrival.row].add(arrival.message)
    return Verdict(
        expected=len(wanted),
        lost=sorted(wanted - accepted.keys()),
        unasked=sorted(names.keys() - wanted),
        doubled=Counter({delivery: times - 1 for delivery, times in accepted.items() if times > 1}),
        renamed=sorted(delivery for delivery, messages in names.items() if len(messages) > 1),
    )


def out_of_order(arrivals: Iterable[Arrival], key_of: Mapping[int, str]) -> list[Delivery]:
    """Requests of one path that came although an earlier row of the same key had not been accepted yet.

    `key_of`: row → key; rows that have none are left out. Duplicates of what was accepted are not counted.
    """
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row in sorted(key_of):
        rows_of[key_of[row]].append(row)
    place = {row: at for rows in rows_of.values() for at, row in enumerate(rows)}
    accepted: dict[str, set[int]] = defaultdict(set)
    done: Counter[str] = Counter()
    wrong = []
    for arrival in arrivals:
        key = key_of.get(arrival.row)
        if key is None:
            continue
        if place[arrival.row] > done[key]:
            wrong.append((arrival.path, arrival.row))
        if arrival.accepted:
            accepted[key].add(arrival.row)
            while done[key] < len(rows_of[key]) and rows_of[key][done[key]] in accepted[key]:
                done[key] += 1
    return wrong


def out_of_order_between(
    arrivals: Sequence[Arrival], begins: float, ends: float, key_of: Mapping[int, str]
) -> list[Delivery]:
    """The same for a stretch of time, and only for the rows that came for the first time in it.

    What was tried before is left out: it was sent by another order. A row is wrong here if it comes before a smaller
    one of its key, or while that one has come and was not accepted.
    """
    first: dict[int, float] = {}
    for arrival in arrivals:
        first.setdefault(arrival.row, arrival.at)
    rows = {row for row, at in first.items() if begins <= at < ends and row in key_of}
    pending: dict[str, set[int]] = defaultdict(set)
    newest: dict[str, int] = defaultdict(int)
    done: set[int] = set()
    wrong = []
    for arrival in arrivals:
        if arrival.row not in rows or arrival.row in done or arrival.at >= ends:
            continue
        key = key_of[arrival.row]
        if arrival.row not in pending[key] and (pending[key] or arrival.row < newest[key]):
            wrong.append((arrival.path, arrival.row))
        newest[key] = max(newest[key], arrival.row)
        if arrival.accepted:
            pending[key].discard(arrival.row)
            done.add(arrival.row)
        else:
            pending[key].add(arrival.row)
    return wrong


def delays_s(shown: Mapping[int, float], arrivals: Iterable[Arrival]) -> list[float]:
    """From the answer that showed a row to its first arrival at each path, in seconds."""
    first: dict[Delivery, float] = {}
    for arrival in arrivals:
        if arrival.row in shown:
            first.setdefault((arrival.path, arrival.row), arrival.at - shown[arrival.row])
    return list(first.values())


def p(values: Sequence[float], share: float) -> float:
    """A percentile; 0 when there is nothing."""
    return percentile(values, share) if values else 0.0
