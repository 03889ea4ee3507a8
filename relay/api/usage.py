"""Usage of applications, and of event types by applications: aggregated at once, and kept as ended background tasks."""

from typing import Any

import msgspec
from litestar import Controller, post, put
from litestar.params import JSONBody

from relay.api.access import Reach, needs
from relay.api.dependencies import ClockGiven, OnceGiven, StoresGiven
from relay.api.schemas.common import moment
from relay.api.schemas.reconciliations import read_time
from relay.api.schemas.statistics import (
    AppStatsOut,
    AppTypesOut,
    AppUsageData,
    AppUsageIn,
    AppUsageTaskOut,
    TypeUsageData,
    UsageTaskOut,
)
from relay.domain.model import Application, ApplicationId, EndpointId
from relay.domain.operational import OPERATIONAL
from relay.domain.principals import Resource
from relay.domain.tallies import KEPT, summed, within
from relay.errors import Fault, Invalid, NotFound
from relay.store import journal
from relay.store.identifiers import new_id
from relay.store.journal import Change
from relay.store.replays import PREFIX
from relay.store.tallies import Pair
from relay.store.usage import UsageTask
from relay.wiring import Stores

MOST_PAIRS = 20_000
"""Pairs of an endpoint and a stream that one request counts: some seconds of work."""
AT_ONCE = 500
PAIRS_AT_ONCE = 1000


class UsageController(Controller):
    """`/api/v1/stats/usage`, in Svix's shapes."""

    path = "/stats/usage"
    tags = ["statistics"]  # noqa: RUF012 - the framework's own attribute
    opt = needs(Resource.MESSAGE, Reach.OPERATOR)

    @post("/app", summary="Count the attempts of applications", status_code=202)
    async def app_usage(
        self, data: JSONBody[AppUsageIn], stores: StoresGiven, clock: ClockGiven, once: OnceGiven
    ) -> AppUsageTaskOut:
        """Count the attempts that the relay made for applications, in whole hours of the last 14 days.

        The task has ended when the relay answers: `GET /background-task/{task_id}` shows its result in `data`.
        """
        since_ms, until_ms = read_time(data.since), read_time(data.until)
        if since_ms >= until_ms:
            raise Invalid(Fault(("body", "since"), "must be before `until`"))
        applications, unresolved = await _chosen(stores, data.app_ids if isinstance(data.app_ids, list) else None)
        counts = await _attempts(stores, await _pairs(stores, applications), since_ms=since_ms, until_ms=until_ms)
        stats = [
            AppStatsOut(app_id=each.id, app_uid=each.uid, message_destinations=counts[each.id]) for each in applications
        ]
        now_ms = clock.now_ms()
        task_id = once.new_id(PREFIX) if once else new_id(PREFIX, now_ms=now_ms)
        task = UsageTask(task_id, "application.stats", now_ms, _as_shown(AppUsageData(app_stats=stats)))
        await _keep(stores, task)
        return AppUsageTaskOut(
            id=task.id,
            status="finished",
            task=task.kind,
            updated_at=moment(task.updated_ms),
            unresolved_app_ids=unresolved,
        )

    @put("/event-types", summary="Aggregate the event types of applications", status_code=202)
    async def event_type_usage(self, stores: StoresGiven, clock: ClockGiven) -> UsageTaskOut:
        """List the event types that the endpoints of each application select.

        The task has ended when the relay answers: `GET /background-task/{task_id}` shows its result in `data`.
        """
        applications, _ = await _chosen(stores, None)
        selected = {each.id: set[str]() for each in applications}
        catch_all = set[ApplicationId]()
        after: tuple[ApplicationId, EndpointId] | None = None
        while endpoints := list((await stores.endpoints.everywhere(after=after, limit=AT_ONCE)).values):
            for endpoint in (each for each in endpoints if each.app_id != OPERATIONAL):
                selected.setdefault(endpoint.app_id, set()).update(endpoint.event_types or ())
                if endpoint.event_types is None:
                    catch_all.add(endpoint.app_id)
            after = (endpoints[-1].app_id, endpoints[-1].id)
        types = [
            AppTypesOut(
                app_id=each,
                explicitly_subscribed_event_types=sorted(names),
                has_catch_all_endpoint=each in catch_all,
            )
            for each, names in selected.items()
        ]
        now_ms = clock.now_ms()
        data = _as_shown(TypeUsageData(event_types=types))
        task = UsageTask(new_id(PREFIX, now_ms=now_ms), "event-type.aggregate", now_ms, data)
        await _keep(stores, task)
        return UsageTaskOut(id=task.id, status="finished", task=task.kind, updated_at=moment(now_ms))


async def _chosen(stores: Stores, names: list[str] | None) -> tuple[list[Application], list[str]]:
    """Some applications, or all, and the names that lead to none. Raises Invalid if no name leads to one."""
    found: dict[ApplicationId, Application] = {}
    unresolved: list[str] = []
    for name in dict.fromkeys(names or ()):
        try:
            application = await stores.applications.get(name)
            found[application.id] = application
        except NotFound:
            unresolved.append(name)
    if names is not None and not found:
        raise Invalid(Fault(("body", "appIds"), "names no application that there is: see GET /api/v1/app"))
    after: str | None = None
    while names is None and (page := list((await stores.applications.page(after=after, limit=AT_ONCE)).values)):
        found |= {each.id: each for each in page}
        after = page[-1].id
    return list(found.values()), unresolved


async def _pairs(stores: Stores, applications: list[Application]) -> dict[ApplicationId, list[Pair]]:
    """The endpoints of applications, each with its streams. Raises Invalid if they are too many."""
    found: dict[ApplicationId, list[Pair]] = {}
    left = MOST_PAIRS
    for application in applications:
        streams = await stores.configuration.streams_of(application)
        endpoints = await stores.endpoints.ids(application.id, limit=MOST_PAIRS + 1)
        left -= len(endpoints) * len(streams)
        if left < 0:
            why = f"has more than {MOST_PAIRS} endpoints and sources to count: name fewer applications"
            raise Invalid(Fault(("body", "appIds"), why))
        found[application.id] = [(endpoint, stream) for endpoint in endpoints for stream in streams]
    return found


async def _attempts(
    stores: Stores, pairs: dict[ApplicationId, list[Pair]], *, since_ms: int, until_ms: int
) -> dict[ApplicationId, int]:
    """How many attempts were made for applications in the hours that begin in a time."""
    counts = dict.fromkeys(pairs, 0)
    for application, some in pairs.items():
        for first in range(0, len(some), PAIRS_AT_ONCE):
            found = await stores.statistics.tallies.read(
                some[first : first + PAIRS_AT_ONCE], "hour", newest=KEPT["hour"]
            )
            for buckets in found.values():
                hours = within(buckets, "hour", since_ms=since_ms, until_ms=until_ms)
                counts[application] += summed(tally for _, tally in hours).total
    return counts


async def _keep(stores: Stores, task: UsageTask) -> None:
    await stores.statistics.usage.keep(task)
    journal.current().note(Change(f"background-task/{task.id}"))


def _as_shown(data: AppUsageData | TypeUsageData) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(data)
    return shown
