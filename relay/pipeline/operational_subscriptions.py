"""The subscriptions of operational endpoints, as one process knows them: they are few, so it reads them all."""

from relay.domain.model import Application, Endpoint, EndpointId
from relay.domain.operational import ENDPOINTS_MOST, OPERATIONAL
from relay.domain.posting import PostMatcher
from relay.store.configuration import Configuration
from relay.store.endpoints import Endpoints

READ_MOST = 10 * ENDPOINTS_MOST
"""Requests that run side by side can create a few more than there can be."""


class OperationalSubscriptions:
    """What `Posting` needs of a mirror of the configuration. `version` is that of the configuration it shows."""

    def __init__(self, configuration: Configuration, endpoints: Endpoints) -> None:
        self._configuration = configuration
        self._endpoints = endpoints
        self._known: list[Endpoint] = []
        self._unreadable: list[Endpoint] = []
        self.version = 0

    async def is_stale(self) -> bool:
        """Whether the configuration has another version."""
        return await self._configuration.version() != self.version

    async def refresh(self) -> None:
        """Read all operational endpoints. Raises StoreUnavailable."""
        # Before the endpoints: they may be newer than the version, never older.
        version = await self._configuration.version()
        page = await self._endpoints.page(OPERATIONAL, after=None, limit=READ_MOST)
        self._known = list(page.values)
        # One that cannot be read gets every event, as soon as it can be.
        self._unreadable = [Endpoint(id=EndpointId(each), app_id=OPERATIONAL, url="") for each in page.unreadable]
        self.version = version

    def post_matcher(self, application: Application) -> PostMatcher:
        """Which operational endpoints want which events."""
        called = [each for each in (*self._known, *self._unreadable) if each.type != "poller"]
        return PostMatcher(application, called, unfit={each.id for each in self._unreadable})

    def ids(self) -> set[EndpointId]:
        """All operational endpoints."""
        return {each.id for each in (*self._known, *self._unreadable)}

    def since_ms(self) -> int:
        """When the oldest of them was created; 0: not known."""
        return 0 if self._unreadable else min((each.created_at_ms for each in self._known), default=0)
