"""Event types that customers create. Workers need none of them, so changes are not announced."""

from collections.abc import Callable, Iterable

from msgspec import structs
from redis.asyncio import Redis

from relay.domain.custom_types import MOST_TYPES, CustomType, Standing, is_own, read_only
from relay.domain.model import ApplicationId
from relay.domain.operational import OPERATIONAL
from relay.domain.operational_types import TYPES
from relay.errors import Conflict, NotFound
from relay.store import keys
from relay.store.record_form import Kind
from relay.store.records import Page, Records
from relay.store.vault import Vault

FOLDER = "event_type"
EVENT_TYPE = Kind("event_type", CustomType, id_of=lambda t: t.name, folder=lambda _: FOLDER)

Make = Callable[[CustomType | None], CustomType]
"""From the type that is there (None: none) to the type that should be."""


class EventTypes:
    """All types but the relay's own."""

    def __init__(self, redis: Redis, vault: Vault) -> None:
        self._redis = redis
        self._records = Records(redis, vault, EVENT_TYPE)

    async def get(self, name: str) -> CustomType:
        """Read one. Raises NotFound, or Unreadable."""
        if (found := await self._records.find(name)) is None:
            raise NotFound(f"there is no event type {name}")
        return found

    async def page(self, *, after: str | None, limit: int, descending: bool = False) -> Page[CustomType]:
        """Up to `limit` in the order of their names, from behind the name `after` on."""
        return await self._records.page(FOLDER, after=after, limit=limit, descending=descending)

    async def names(self) -> list[str]:
        """All names, of archived types and of those that cannot be read, too."""
        return sorted(bytes(name).decode() for name in await self._redis.hkeys(keys.config("event_types")))  # type: ignore[misc]

    async def stored(self, names: Iterable[str] | None) -> dict[str, CustomType]:
        """Those of some types (None: of all) that are there and can be read, by name."""
        wanted = await self.names() if names is None else names
        return {name: kept.value for name, kept in (await self._records.read(wanted)).items() if kept and kept.value}

    async def standing(self, names: Iterable[str], application: ApplicationId) -> Standing:
        """How some names stand to endpoints of an application. A type that cannot be read is taken for a live one."""
        if application == OPERATIONAL:
            return Standing(own=tuple(TYPES))
        wanted = {name for name in names if not is_own(name)}
        if not wanted:
            return Standing()
        found = {name: kept for name, kept in (await self._records.read(wanted)).items() if kept is not None}
        archived = {name for name, kept in found.items() if kept.value is not None and kept.value.archived}
        live = found.keys() - archived
        return Standing(live=live, archived=archived, known=() if live == wanted else await self.names())

    async def create(self, new: CustomType, *, repeated: bool = False) -> CustomType:
        """Create a type, or replace an archived one of its name.

        `repeated`: the request may have created it before it failed, so one that says the same is given.
        Raises Conflict when there is one that is not archived, when the name is the relay's, or when there are too
        many.
        """

        def unless_there(before: CustomType | None) -> CustomType:
            if before is None:
                return new
            same = structs.replace(new, created_at_ms=before.created_at_ms, updated_at_ms=before.updated_at_ms)
            if repeated and same == before:
                return before
            if not before.archived:
                raise Conflict(f"there is an event type {new.name}. Change it with PUT or PATCH")
            return structs.replace(new, created_at_ms=before.created_at_ms)

        return (await self.put(new.name, unless_there))[0]

    async def put(self, name: str, make: Make) -> tuple[CustomType, bool]:
        """Write what `make` makes of the type that is there. Gives it, and whether it is new. One that cannot be read
        is replaced by what `make` makes of nothing.

        Raises Conflict when the name is the relay's, or when there are too many; and what `make` raises.
        """
        _check_name(name)
        if not await self._records.exists(name):
            await self.check_room(1)
        saved = await self._records.put(name, make, replacement=lambda: make(None))
        return saved.after, saved.new

    async def change(self, name: str, change: Callable[[CustomType], CustomType]) -> CustomType:
        """Change one. Raises NotFound, Unreadable, or Conflict when the name is the relay's."""
        _check_name(name)

        def make(before: CustomType | None) -> CustomType:
            if before is None:
                raise NotFound(f"there is no event type {name}")
            return change(before)

        return (await self._records.put(name, make)).after

    async def expunge(self, name: str) -> None:
        """Delete one for good. Raises NotFound, or Conflict when the name is the relay's."""
        _check_name(name)
        await self._records.delete(name, FOLDER, deletion=lambda _: b"")

    async def check_room(self, more: int) -> None:
        """Raise Conflict if so many more would be too many. Requests that run side by side can exceed this by a few."""
        if more and await self._redis.hlen(keys.config("event_types")) + more > MOST_TYPES:  # type: ignore[misc]
            raise Conflict(
                f"there can be at most {MOST_TYPES} event types, with the archived ones. Delete some with "
                "`expunge=true`"
            )


def _check_name(name: str) -> None:
    if is_own(name):
        raise Conflict(read_only(name))
