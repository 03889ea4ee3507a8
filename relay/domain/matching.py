"""Which endpoints of a source get an event, and as which type: paid for by the endpoints that can match, not by all.

Endpoints are sorted out twice before a filter runs: by the event's types, remembered for each combination of types,
and by the value of one field that their filters pin (`act`, `dgrpName`, …).
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from relay.domain.event_types import EVENT_TYPES, code_of
from relay.domain.filtering import Data, DataTest, Filter, both, compile_filter
from relay.domain.model import Application, Endpoint, EndpointId
from relay.domain.operators import as_number
from relay.domain.paths import reader
from relay.errors import Invalid

Match = tuple[EndpointId, int]
_ANY = frozenset(range(len(EVENT_TYPES)))


class _Subscription(NamedTuple):
    endpoint: EndpointId
    codes: frozenset[int]
    filter: Filter | None


@dataclass(frozen=True, slots=True)
class _Plan:
    """What can match one combination of types."""

    always: list[Match] = field(default_factory=list)
    tested: list[tuple[Match, DataTest]] = field(default_factory=list)
    indexed: list[tuple[Callable[[Data], Any], dict[Any, list[tuple[Match, DataTest]]]]] = field(default_factory=list)


class Matcher:
    """The subscriptions of one source. It never changes: make a new one when a subscription does."""

    def __init__(
        self, applications: Iterable[Application], endpoints: Iterable[Endpoint], *, unfit: Collection[EndpointId] = ()
    ) -> None:
        """Compile all filters. An endpoint whose application is gone gets nothing.

        Disabled endpoints match too: what comes is kept for them. So do endpoints that are `unfit` for whatever reason,
        or whose filters can't be compiled, by their event types alone: see `unchecked`.
        """
        of = {each.id: each for each in applications}
        self._subscriptions, unchecked = [], set(unfit)
        for each in endpoints:
            if (application := of.get(each.app_id)) is None:
                continue
            compiled = None
            if each.id not in unchecked:
                try:
                    compiled = _filter_of(application, each)
                except Invalid:
                    unchecked.add(each.id)
            self._subscriptions.append(_Subscription(each.id, _codes(each.event_types), compiled))
        self.unchecked = frozenset(unchecked)
        """Endpoints whose filters were not asked: that has to be done before anything is sent to them (see `wants`)."""
        self._plans: dict[bytes, _Plan] = {}

    def match(self, types: bytes, data: Data) -> list[Match]:
        """The endpoints that get an event, each once, with the code of the first of `types` that it subscribed to.

        `types` is in order of precedence (event_types.codes_of), `data` is what relay.domain.envelope encodes.
        """
        plan = self._plans.get(types)
        if plan is None:
            plan = self._plans[types] = self._plan(types)
        found = plan.always.copy()
        for read, buckets in plan.indexed:
            found += [match for match, test in _candidates(buckets, read(data)) if test(data)]
        found += [match for match, test in plan.tested if test(data)]
        return found

    def _plan(self, types: bytes) -> _Plan:
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
        _index(plan, filtered)
        return plan


def wants(application: Application, endpoint: Endpoint, types: bytes, data: Data) -> bool:
    """Whether an endpoint gets an event, asked by itself; see `Matcher.match`. Raises Invalid if a filter is none."""
    if not _codes(endpoint.event_types).intersection(types):
        return False
    compiled = _filter_of(application, endpoint)
    return compiled is None or compiled.test(data)


def unfit_reason(application: Application, endpoint: Endpoint) -> str | None:
    """Why nothing can be sent to an endpoint until it, or its application, is mended; None: it is fit."""
    if (fault := filter_fault(application)) is not None:
        return f"its application's {fault}"
    fault = filter_fault(endpoint)
    return None if fault is None else f"its {fault}"


def filter_fault(filtered: Application | Endpoint) -> str | None:
    """What is wrong with a filter; None: it can be used."""
    try:
        _compiled(filtered.filter)
    except Invalid as error:
        return f"filter can't be used by this release, save another one: {error}"
    return None


def _index(plan: _Plan, filtered: list[tuple[Match, Filter]]) -> None:
    """Put each endpoint under the one of its pinned fields that tells the most endpoints apart."""
    distinct = Counter(path for path, _ in {pair for _, compiled in filtered for pair in _pairs(compiled)})
    by_path: dict[str, dict[Any, list[tuple[Match, DataTest]]]] = {}
    for match, compiled in filtered:
        if not compiled.discriminators:
            plan.tested.append((match, compiled.test))
            continue
        best = max(compiled.discriminators, key=lambda each: distinct[each.path] / len(each.values))
        buckets = by_path.setdefault(best.path, {})
        for value in best.values:
            buckets.setdefault(value, []).append((match, compiled.test))
    plan.indexed.extend((reader(path), buckets) for path, buckets in by_path.items())


def _pairs(compiled: Filter) -> Iterable[tuple[str, Any]]:
    return ((each.path, value) for each in compiled.discriminators for value in each.values)


def _candidates(buckets: dict[Any, list[tuple[Match, DataTest]]], value: Any) -> list[tuple[Match, DataTest]]:
    """Who pins the field to this value, as text or as the number that the text is, or to an entry of this list.

    Nobody pins a field to None, which is the number of what is none.
    """
    if type(value) is str:
        texts, numbers = buckets.get(value, []), buckets.get(as_number(value), [])
        return _merged((texts, numbers)) if texts and numbers else texts or numbers
    if type(value) is list:
        return _merged(_candidates(buckets, item) for item in value)
    return buckets.get(as_number(value), [])


def _merged(groups: Iterable[list[tuple[Match, DataTest]]]) -> list[tuple[Match, DataTest]]:
    return list({match[0]: (match, test) for group in groups for match, test in group}.values())


@lru_cache(maxsize=1024)
def _codes(event_types: tuple[str, ...] | None) -> frozenset[int]:
    if event_types is None:
        return _ANY
    return frozenset(code_of(name) for name in event_types if name in EVENT_TYPES)


def _filter_of(application: Application, endpoint: Endpoint) -> Filter | None:
    """What an endpoint's events must pass; None: all do. Raises Invalid."""
    outer, inner = _compiled(application.filter), _compiled(endpoint.filter)
    if outer is None or inner is None:
        return outer or inner
    return both(outer, inner)


def _compiled(source: dict[str, Any] | None) -> Filter | None:
    return _compiled_json(msgspec.json.encode(source)) if source else None


@lru_cache(maxsize=16_384)
def _compiled_json(source: bytes) -> Filter:
    # Ten thousand endpoints are read again whenever one of them changes.
    return compile_filter(msgspec.json.decode(source))
