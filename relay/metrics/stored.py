"""The metrics of the store as a whole: depths of lanes, freshness of routes, conditions, memory.

Every worker reads the same when it is asked, so two workers give the same values, and none is a moment old.
"""

import asyncio
from collections import Counter
from typing import NamedTuple

from relay.domain.breaking import Condition
from relay.domain.freshness import level_at_ms
from relay.domain.model import DISABLED_BY_HAND, Endpoint, EndpointId, Source
from relay.domain.route_state import RouteState
from relay.metrics.naming import MOST_IN_TROUBLE, OTHER, Named
from relay.metrics.sheet import Sheet
from relay.pipeline.catalogue import Catalogue
from relay.store.conditions import Conditions
from relay.store.depths import Depth, Depths, StreamDepth
from relay.store.epochs import Epochs
from relay.store.key_ages import KeyAges
from relay.store.low_water import LowWater
from relay.store.operations import Operations
from relay.store.routes import Routes
from relay.store.server import Server

STATES = ("well", "failing", "open", "paused", "unfit", "disabled", "given_up")
TROUBLES = frozenset({"failing", "open", "unfit", "given_up"})
LATE = ("lagging", "stalled")
CONDITIONS = {
    "store": ("store_full", "full"),
    "backlog": ("backlog_full", "full"),
    "checkpoint": ("checkpoint_old", "old"),
}
"""By what they are noted as: the name that is shown, and what holds when the condition is met."""
_WELL = Condition()
ENDPOINTS_AT_ONCE = 200
"""Looked at before others get their turn."""


class Kept(NamedTuple):
    """What is read."""

    depths: Depths
    conditions: Conditions
    routes: Routes
    operations: Operations
    epochs: Epochs
    server: Server
    key_ages: KeyAges
    low_water: LowWater


class StoredMetrics:
    """Reads the store, and shows it by the names of the configuration."""

    def __init__(self, kept: Kept, catalogue: Catalogue) -> None:
        self._kept = kept
        self._catalogue = catalogue

    async def fill(self, sheet: Sheet, named: Named, now_ms: int) -> None:
        """Add the samples. `now_ms`: the server's clock. Raises StoreUnavailable."""
        await self._show_server(sheet, now_ms)
        await self._show_conditions(sheet)
        await self._show_routes(sheet, named, now_ms)
        states = await self._show_endpoints(sheet, now_ms)
        await self._show_depths(sheet, named, states, now_ms)

    async def _show_server(self, sheet: Sheet, now_ms: int) -> None:
        use = await self._kept.server.memory()
        sheet.put("relay_redis_memory_used_bytes", use.used)
        sheet.put("relay_redis_memory_limit_bytes", use.limit)
        epoch = await self._kept.epochs.read()
        if epoch is not None and epoch.saved_ms is not None:
            sheet.put("relay_checkpoint_age_seconds", _age_s(epoch.saved_ms, now_ms))
        if (since_ms := await self._kept.key_ages.since_ms()) is not None:
            sheet.put("relay_encryption_key_age_seconds", _age_s(since_ms, now_ms))

    async def _show_conditions(self, sheet: Sheet) -> None:
        held = await self._kept.operations.conditions("")
        for noted, (shown, when) in CONDITIONS.items():
            sheet.put("relay_condition", int(held.get(noted) == when), shown)
        late = Counter(state for name, state in held.items() if name.startswith("route:"))
        for freshness in LATE:
            sheet.put("relay_routes_late", late[freshness], freshness)

    async def _show_routes(self, sheet: Sheet, named: Named, now_ms: int) -> None:
        sources = self._catalogue.sources
        paused = sum(source.paused for source in sources.values())
        sheet.put("relay_sources", len(sources) - paused, "polled")
        sheet.put("relay_sources", paused, "paused")
        shown = {uid for uid, _ in named.routes}
        read = [sources[uid] for uid in sorted(shown & sources.keys())]
        states = await self._kept.routes.states_of(read)
        for source in read:
            for state in states[source.uid]:
                if (source.uid, state.route) in named.routes:
                    _show_route(sheet, source, state, now_ms)
        for uid, marks in (await self._kept.low_water.read(read, now_ms=now_ms)).items():
            for route, mark in marks.items():
                if mark.cursor is not None and (uid, route) in named.routes:
                    sheet.put("relay_route_low_water", mark.cursor, uid, route)

    async def _show_endpoints(self, sheet: Sheet, now_ms: int) -> dict[EndpointId, str]:
        unwell = await self._kept.conditions.all()
        states = {}
        for i, each in enumerate(list(self._catalogue.endpoints.values())):
            is_unfit = self._catalogue.unfit(each.id) is not None
            states[each.id] = _state_of(each, unwell.get(each.id, _WELL), is_unfit=is_unfit)
            await _pause(i)
        counts = Counter(states.values())
        for state in STATES:
            sheet.put("relay_endpoints", counts[state], state)
        troubled = sorted(endpoint for endpoint, state in states.items() if state in TROUBLES)
        for endpoint in troubled[:MOST_IN_TROUBLE]:
            sheet.put("relay_endpoint_trouble", 1, endpoint, states[endpoint])
            if since_ms := unwell.get(endpoint, _WELL).failing_since_ms:
                sheet.put("relay_endpoint_failing_seconds", _age_s(since_ms, now_ms), endpoint)
        return states

    async def _show_depths(self, sheet: Sheet, named: Named, states: dict[EndpointId, str], now_ms: int) -> None:
        found = await self._kept.depths.read(sorted(self._catalogue.streams))
        of_streams = {name: StreamDepth() for name in (*sorted(named.streams), OTHER)}
        for stream, depth in found.streams.items():
            of_streams[named.stream(stream)].add(depth)
        for name, depth in of_streams.items():
            for state, number in depth.by_state().items():
                sheet.put("relay_deliveries", number, name, state)
        shown = {name: Depth() for name in (*sorted(named.endpoints), OTHER)}
        well = Depth()
        for i, (endpoint, each) in enumerate(found.endpoints.items()):
            await _pause(i)
            shown[named.endpoint(endpoint)].add(each)
            if states.get(endpoint) == "well":
                well.add(each)
        for name, each in shown.items():
            sheet.put("relay_endpoint_waiting_deliveries", each.waiting, name)
        for name, each in shown.items():
            sheet.put("relay_endpoint_oldest_waiting_seconds", _age_s(each.oldest_ms or now_ms, now_ms), name)
        sheet.put("relay_oldest_waiting_seconds", _age_s(well.oldest_ms or now_ms, now_ms))
        sheet.put("relay_oldest_ready_seconds", _age_s(well.ready_ms or now_ms, now_ms))


def _show_route(sheet: Sheet, source: Source, state: RouteState, now_ms: int) -> None:
    place = source.uid, state.route
    if state.cursor is not None:
        sheet.put("relay_route_cursor", state.cursor, *place)
    level_ms = level_at_ms(state)
    if level_ms is not None and not (source.paused or state.paused):
        sheet.put("relay_route_lag_seconds", _age_s(level_ms, now_ms), *place)
    sheet.put("relay_route_stopped", int(state.state == "stopped"), *place)


def _state_of(endpoint: Endpoint, condition: Condition, *, is_unfit: bool) -> str:
    if endpoint.disabled:
        return "disabled" if endpoint.disabled_reason in (None, DISABLED_BY_HAND) else "given_up"
    if endpoint.paused:
        return "paused"
    if is_unfit:
        return "unfit"
    if condition.opens:
        return "open"
    return "failing" if condition.failing_since_ms else "well"


async def _pause(done: int) -> None:
    """Let others have their turn after so many endpoints."""
    if done % ENDPOINTS_AT_ONCE == 0:
        await asyncio.sleep(0)


def _age_s(at_ms: int, now_ms: int) -> float:
    return max(0, now_ms - at_ms) / 1000
