"""What is wrong with records of the configuration, told once: in each process's log, and as one operational event."""

import asyncio
from collections.abc import Iterator, Mapping

import structlog

from relay.domain.matching import filter_fault
from relay.domain.model import Application, Endpoint
from relay.errors import StoreRefused, StoreUnavailable
from relay.pipeline.clock import Clock
from relay.store.configuration import Changes, UnreadableRecord
from relay.store.operations import Operations

log = structlog.get_logger()

FILTERS_BETWEEN_PAUSES = 10
"""Compiling the largest filter takes some milliseconds."""
LOGGED_AS = {"appId": "app", "endpointId": "endpoint"}
"""What the log calls the ids of operational events."""


class Troubles:
    """What was found out, until it is told."""

    def __init__(self, operations: Operations, clock: Clock) -> None:
        self._operations = operations
        self._clock = clock
        self._told: dict[str, tuple[str, str]] = {}
        self._untold: dict[str, tuple[str, Mapping[str, str]]] = {}

    def found(self, thing: str, kind: str, *, reason: str, **ids: str) -> None:
        """Something is wrong with a thing: `kind` is that of the event, `ids` say in it which thing it is."""
        if self._told.get(thing) != (kind, reason):
            self._told[thing] = kind, reason
            self._untold[thing] = kind, {**ids, "reason": reason}
            named = {LOGGED_AS.get(name, name): value for name, value in ids.items()}
            log.warning("trouble_found", kind=kind, reason=reason, **named)

    def forget(self, thing: str) -> None:
        """A thing changed: its faults may be corrected, or there again."""
        self._told.pop(thing, None)
        self._untold.pop(thing, None)

    def are_untold(self) -> bool:
        """Whether the operator does not know of something yet."""
        return bool(self._untold)

    async def look(self, changes: Changes) -> None:
        """Find what is wrong with changed objects, and tell the operator."""
        for name in names_of(changes):
            self.forget(name)
        for record in changes.unreadable:
            self.found(record.name, f"{record.kind}.unreadable", reason=record.why, **ids_of(record.kind, record))
        filtered = [each for each in (*changes.applications.values(), *changes.endpoints.values()) if each]
        for i, each in enumerate(filtered):
            kind = "endpoint" if isinstance(each, Endpoint) else "application"
            if (fault := filter_fault(each)) is not None:
                self.found(f"{kind}/{each.id}", f"{kind}.unfit", reason=f"its {fault}", **ids_of(kind, each))
            if i % FILTERS_BETWEEN_PAUSES == FILTERS_BETWEEN_PAUSES - 1:
                await asyncio.sleep(0)
        await self.tell()

    async def tell(self) -> None:
        """Tell the operator what was found. Without the store it has to wait, and stops nothing."""
        try:
            for thing, (kind, data) in list(self._untold.items()):
                await self._operations.report_once(thing, kind, data, now_ms=self._clock.now_ms())
                del self._untold[thing]
        except (StoreUnavailable, StoreRefused) as error:
            log.warning("troubles_not_reported", troubles=len(self._untold), error=str(error))
        except Exception:
            # Whatever it is: what is wrong with one record must not stop who reads them all.
            log.exception("troubles_not_reported", troubles=len(self._untold))


def names_of(changes: Changes) -> Iterator[str]:
    """`{kind}/{id}` of what is known, or known to be gone, now."""
    yield from (f"source/{uid}" for uid in changes.sources)
    yield from (f"application/{application}" for application in changes.applications)
    yield from (f"endpoint/{endpoint}" for endpoint in changes.endpoints)
    yield from (f"erasure/{erasure}" for erasure in changes.erasures)


def ids_of(kind: str, thing: UnreadableRecord | Application | Endpoint) -> dict[str, str]:
    """How operational events say which one it is."""
    endpoint = thing.glimpse if isinstance(thing, UnreadableRecord) else thing
    ids = {"appId": endpoint.app_id} if isinstance(endpoint, Endpoint) else {}
    names = {"source": "source", "application": "appId", "endpoint": "endpointId", "erasure": "erasureId"}
    return ids | {names[kind]: thing.id}
