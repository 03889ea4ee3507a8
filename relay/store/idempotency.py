"""Requests that may come twice: the id of what the first one made, by the key that its client gave."""

import hashlib
from dataclasses import dataclass

from redis.asyncio import Redis

from relay.errors import Conflict
from relay.store import keys

KEPT_MS = 24 * 3600 * 1000
"""How long a client may try again (draft-ietf-httpapi-idempotency-key-header)."""


@dataclass(frozen=True, slots=True)
class Once:
    """A request that must have its effect once, however often it is sent."""

    key: str
    """What its client gave, with the path, so that a key is one resource's."""
    content: bytes


async def settle(redis: Redis, once: Once | None, new: str) -> str:
    """The id to use: `new` at first, and the first one's whenever the request comes again within a day.

    Raises Conflict when the key came with other content before.
    """
    if once is None:
        return new
    # A string of {digest of the content} {id}.
    name = keys.config(f"idempotency:{_digest(once.key.encode())}")
    asked = f"{_digest(once.content)} {new}"
    before = await redis.set(name, asked, nx=True, get=True, px=KEPT_MS)
    if before is None:
        return new
    content, _, settled = bytes(before).decode().partition(" ")
    if content != _digest(once.content):
        raise Conflict("the idempotency-key came with another request before: use a new one")
    return settled


def _digest(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()
