"""Everything that is kept, by kind: what the layers above are handed."""

from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import (
    ClusterDownError,
    ConnectionError,  # noqa: A004 - redis-py's own, which OSErrors become
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    TimeoutError,  # noqa: A004
)

from relay.store.applications import Applications
from relay.store.attempts import Attempts
from relay.store.configuration import Configuration
from relay.store.endpoints import Endpoints
from relay.store.events import Events
from relay.store.lanes import Lanes
from relay.store.routes import Routes
from relay.store.sources import Sources
from relay.store.vault import Vault

UNAVAILABLE: tuple[type[Exception], ...] = (
    ConnectionError, TimeoutError, ReadOnlyError, OutOfMemoryError, MasterDownError, ClusterDownError,
)  # fmt: skip
"""What a store raises when the server is away, moves, or is full: asking again later may work."""


@dataclass(frozen=True, slots=True)
class Stores:
    """One store for each kind of thing, all over the same server."""

    redis: Redis
    configuration: Configuration
    sources: Sources
    applications: Applications
    endpoints: Endpoints
    routes: Routes
    events: Events
    attempts: Attempts
    lanes: Lanes

    @classmethod
    def over(cls, redis: Redis, vault: Vault) -> "Stores":
        """Build them all; nothing is read or written yet."""
        return cls(
            redis=redis,
            configuration=Configuration(redis, vault),
            sources=Sources(redis, vault),
            applications=Applications(redis, vault),
            endpoints=Endpoints(redis, vault),
            routes=Routes(redis),
            events=Events(redis),
            attempts=Attempts(redis),
            lanes=Lanes(redis),
        )

    async def ping(self) -> None:
        """Raise one of UNAVAILABLE unless the server answers."""
        await self.redis.ping()
