"""The quotas of requests: buckets for all processes, of a key, of an application's portal, or of an address."""

from typing import NamedTuple

from redis.asyncio import Redis

from relay.domain.principals import Principal
from relay.store import keys, request_keys
from relay.store.scripts import script


class Quota(NamedTuple):
    """How a quota stands after a request."""

    counted: bool
    """False: the request is one too many."""
    left: int
    wait_s: float
    """Until there is room for another request."""


class Quotas:
    """The buckets."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def of_address(self, address: str, *, per_minute: int) -> Quota:
        """Count a request without a valid key. Raises StoreUnavailable."""
        name = request_keys.quota(f"address:{address}")
        return _quota(*await script("count_request")(self._redis, [name], [per_minute]))

    async def of_principal(self, principal: Principal, *, per_minute: int, now_ms: int) -> Quota | None:
        """Count a request of a principal, and note its use. None: it is gone. Raises StoreUnavailable.

        All tokens of the portal for one application count together: a subscriber can have many of them.
        """
        names = [
            request_keys.quota(f"portal:{principal.application}" if principal.is_portal else principal.id),
            request_keys.KEY_USES,
            keys.config("applications"),
            request_keys.portal_token(principal.id) if principal.is_portal else keys.config("keys"),
        ]
        args = [per_minute, principal.id, principal.application or "", now_ms, int(principal.is_portal)]
        answer = await script("count_request")(self._redis, names, args)
        return None if answer[0] < 0 else _quota(*answer)


def _quota(counted: int, left: int, wait_us: int) -> Quota:
    return Quota(bool(counted), int(left), int(wait_us) / 1_000_000)
