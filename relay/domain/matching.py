"""Which endpoints of a source get an event, and as which type: paid for by the endpoints that can match, not by all.

Endpoints are sorted out twice before a filter runs: by the event's types, remembered for each combination of types,
and by the value of one field that their filters pin (`act`, `dgrpName`, …).
"""

from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from relay.domain.event_types import EVENT_TYPES, POSTED, code_of
from relay.domain.filtering import Data, Filter, both, compile_filter
from relay.domain.model import Application, Endpoint, EndpointId
from relay.domain.operators import MAX_ENTRIES, as_number
from relay.domain.paths import reader
from relay.domain.privacy import hidden_by
from relay.errors import Fault, Invalid

Match = tuple[EndpointId, int]
Tested = tuple[Match, Filter]
_ANY = frozenset((*range(len(EVENT_TYPES)), POSTED))
CONDITIONS_BETWEEN_PAUSES = 2000
"""About a millisecond of tests."""
MOST_INDEXED = 256
"""A field that a filter pins to more values is no index: each value would take memory for each combination of types."""


@dataclass(slots=True)
class Pace:
    """Counts the conditions that may be tested until others have their turn, over as many events as it takes."""

    left: int = CONDITIONS_BETWEEN_PAUSES


class _Subscription(NamedTuple):
    endpoint: EndpointId
    codes: frozenset[int]
    filter: Filter | None


class _Index(NamedTuple):
    """Endpoints by the value that their filters pin one field to."""

    read: Callable[[Data], Any]
    buckets: dict[Any, list[Tested]]
    has_numbers: bool
    """Whether some of the values are numbers: only then a text is also looked up as the number that it is."""


@dataclass(slots=True)
class _Plan:
    """What can match one combination of types."""

    always: list[Match] = field(default_factory=list)
    weight: int = 0
    """How many conditions an event may have to be tested against."""
    tested: list[Tested] = field(default_factory=list)
    indexed: list["_Index"] = field(default_factory=list)


class Matcher:
    """The subscriptions of one source. It never changes: make a new one when a subscription does."""

    def __init__(
        self, applications: Iterable[Application], endpoints: Iterable[Endpoint], *, unfit: Collection[EndpointId] = ()
    ) -> None:
        """Compile all filters. An endpoint whose application is gone gets nothing.

        Disabled endpoints match too: their events are kept. So do endpoints that are `unfit` for whatever reason,
        or whose filters can't be compiled, by their event types alone: see `unchecked`.
        """
        of = {each.id: each for each in applications}
        self._subscriptions, unchecked = [], set(unfit)
        for each in endpoints:
            if (application := of.get(each.app_id)) is None:
                continue
            passes = None
            if each.id not in unchecked:
                try:
                    passes = _filter_of(application, each)
                except Invalid:
                    unchecked.add(each.id)
            self._subscriptions.append(_Subscription(each.id, _codes(each.event_types), passes))
        self.unchecked = frozenset(unchecked)
        """Endpoints whose filters were not asked: that has to be done before anything is sent to them (see `wants`)."""
        read = [each.filter.columns for each in self._subscriptions if each.filter is not None]
        self.columns = None if None in read else frozenset().union(*(each for each in read if each is not None))
        """The columns of the trigger that the filters may read; None: any."""
        self._plans: dict[bytes, _Plan] = {}

    def match(self, types: bytes, data: Data) -> list[Match]:
        """The endpoints that get an event, each once, with the code of the first of `types` that it subscribed to.

        `types` is in order of precedence (event_types.codes_of), `data` is what relay.domain.envelope encodes.
        """
        plan = self._plan(types)
        found = plan.always.copy()
        for index in plan.indexed:
            for match, passes in _candidates(index, index.read(data)):
                if passes.test(data):
                    found.append(match)
        for match, passes in plan.tested:
            if passes.test(data):
                found.append(match)
        return found

    def weight(self, types: bytes) -> int:
        """How many conditions an event of some types may have to be tested against: a measure of what `match` takes."""
        return self._plan(types).weight

    def steps(self, types: bytes, data: Data, pace: Pace) -> Generator[None, None, list[Match]]:
        """`match` in steps of bounded work: the caller can let other tasks run between two of them."""
        plan = self._plan(types)
        found = plan.always.copy()
        for tested in (*(_candidates(index, index.read(data)) for index in plan.indexed), plan.tested):
            for match, passes in tested:
                pace.left -= passes.cost
                if pace.left <= 0:
                    yield
                    pace.left = CONDITIONS_BETWEEN_PAUSES
                if passes.test(data):
                    found.append(match)
        return found

    def _plan(self, types: bytes) -> _Plan:
        plan = self._plans.get(types)
        if plan is None:
            plan = self._plans[types] = self._new_plan(types)
        return plan

    def _new_plan(self, types: bytes) -> _Plan:
        plan = _Plan()
        filtered: list[tuple[Match, Filter]] = []
        for each in self._subscriptions:
            code = next((code for code in types if code in each.codes), None)
            if code is None:
                continue
            if each.filter is None:
                plan.always.append((each.endpoint, code))
            else:
                filtered.append(((each.endpoint, code), each.filter))
        plan.weight = sum(passes.cost for _, passes in filtered)
        _index(plan, filtered)
        return plan


def wants(application: Application, endpoint: Endpoint, types: bytes, data: Data) -> bool:
    """Whether an endpoint gets an event, asked by itself; see `Matcher.match`. Raises Invalid if a filter is none."""
    if not _codes(endpoint.event_types).intersection(types):
        return False
    passes = _filter_of(application, endpoint)
    return passes is None or passes.test(data)


def unfit_reason(application: Application, endpoint: Endpoint) -> str | None:
    """Why nothing can be sent to an endpoint until it, or its application, is corrected; None: it is fit."""
    if (fault := filter_fault(application)) is not None:
        return f"its application's {fault}"
    fault = filter_fault(endpoint) or inference_fault(application, endpoint.filter)
    if fault is not None:
        return f"its {fault}"
    if endpoint.budget is not None and endpoint.budget not in application.budgets:
        return f"its application has no budget `{endpoint.budget}`"
    return None


def inference_fault(application: Application, source: dict[str, Any] | None) -> str | None:
    """What is wrong with a filter of an endpoint that asks for what the endpoint must not know; None: nothing.

    Which events arrive would tell what the rules of the application hide. The filter must compile.
    """
    passes = compiled(source)
    hidden = hidden_by(application.privacy, sorted(passes.fields)) if passes else None
    return None if hidden is None else f"filter names `{hidden}`, which a privacy rule of the application hides"


def filter_fault(filtered: Application | Endpoint) -> str | None:
    """What is wrong with a filter; None: it can be used."""
    try:
        compiled(filtered.filter)
    except Invalid as error:
        return f"filter can't be used by this release, save another one: {error}"
    return None


def compiled(source: dict[str, Any] | None) -> Filter | None:
    """A filter, compiled now or remembered from before; None for none. Raises Invalid."""
    if not source:
        return None
    found = _compiled_json(msgspec.json.encode(source))
    if isinstance(found, Invalid):
        raise Invalid(*found.faults)
    return found


def _index(plan: _Plan, filtered: list[tuple[Match, Filter]]) -> None:
    """Put each endpoint under the one of its pinned fields that tells the most endpoints apart."""
    distinct = Counter(path for path, _ in {pair for _, passes in filtered for pair in _pairs(passes)})
    by_path: dict[str, dict[Any, list[Tested]]] = {}
    for tested in filtered:
        pinned = [each for each in tested[1].discriminators if len(each.values) <= MOST_INDEXED]
        if not pinned:
            plan.tested.append(tested)
            continue
        best = max(pinned, key=lambda each: distinct[each.path] / len(each.values))
        buckets = by_path.setdefault(best.path, {})
        for value in best.values:
            buckets.setdefault(value, []).append(tested)
    for path, buckets in by_path.items():
        plan.indexed.append(_Index(reader(path), buckets, any(type(value) is not str for value in buckets)))


def _pairs(passes: Filter) -> Iterable[tuple[str, Any]]:
    return (
        (each.path, value)
        for each in passes.discriminators
        if len(each.values) <= MOST_INDEXED
        for value in each.values
    )


def _candidates(index: _Index, value: Any) -> list[Tested]:
    """Who pins the field to this value, as text or as the number that the text is, or to an entry of this list.

    Nobody pins a field to None, which is the number of what is none; nor is an entry that is a list ever pinned.
    """
    if type(value) is str:
        texts = index.buckets.get(value, [])
        numbers = index.buckets.get(as_number(value), []) if index.has_numbers else []
        return _merged((texts, numbers)) if texts and numbers else texts or numbers
    if type(value) is list:
        items = (item for item in value[:MAX_ENTRIES] if type(item) is not list)
        groups = [found for item in items if (found := _candidates(index, item))]
        return _merged(groups) if len(groups) > 1 else groups[0] if groups else []
    return index.buckets.get(as_number(value), []) if index.has_numbers else []


def _merged(groups: Iterable[list[Tested]]) -> list[Tested]:
    return list({tested[0]: tested for group in groups for tested in group}.values())


@lru_cache(maxsize=1024)
def _codes(event_types: tuple[str, ...] | None) -> frozenset[int]:
    if event_types is None:
        return _ANY
    return frozenset(code_of(name) for name in event_types if name in EVENT_TYPES)


def _filter_of(application: Application, endpoint: Endpoint) -> Filter | None:
    """What an endpoint's events must pass; None: all do. Raises Invalid."""
    outer, inner = compiled(application.filter), compiled(endpoint.filter)
    if inner is not None and application.privacy and (fault := inference_fault(application, endpoint.filter)):
        raise Invalid(Fault(("filter",), fault))
    if outer is None or inner is None:
        return outer or inner
    return both(outer, inner)


@lru_cache(maxsize=16_384)
def _compiled_json(source: bytes) -> Filter | Invalid:
    # Ten thousand endpoints are read again whenever one of them changes, and lists show whether each is fit.
    try:
        return compile_filter(msgspec.json.decode(source))
    except Invalid as error:
        return error.with_traceback(None)
