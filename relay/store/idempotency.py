"""Requests that a client can send twice: what the first one made, by the key that the client gave.

A request that failed leaves no trace that matters: its key works for the same request, and for another one.
"""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from redis.asyncio import Redis

from relay.errors import Conflict, InProgress, StoreUnavailable
from relay.store import keys

KEPT_MS = 24 * 3600 * 1000
"""How long a client can send a request again (draft-ietf-httpapi-idempotency-key-header)."""
LOCK_MS = 30_000
"""How long a request can hold its key. A process that dies holds it as long."""


@dataclass(frozen=True, slots=True)
class Once:
    """A request that has its effect once, however often a client sends it."""

    key: str
    """The client's key, together with the path, so that a key belongs to one resource."""
    content: bytes


@asynccontextmanager
async def settled(
    redis: Redis, once: Once | None, new: str, *, exists: Callable[[str], Awaitable[bool]]
) -> AsyncIterator[str]:
    """The id of the object to make, held while it is made: `new`, or the one that the same request had before.

    Raises InProgress while the first request runs. Raises Conflict if the key made an object from another body, or one
    that was deleted since. `exists` tells whether there is an object with an id.
    """
    if once is None:
        yield new
        return
    digest = _digest(once.key.encode())
    name, lock = keys.config(f"idempotency:{digest}"), keys.config(f"idempotency_lock:{digest}")
    if not await redis.set(lock, new, nx=True, px=LOCK_MS):
        raise InProgress("a request with this idempotency-key is in progress; retry when it has ended")
    try:
        settled_id, made = await _settle(redis, name, once, new, exists)
        yield settled_id
        if not made:
            await redis.set(name, f"{_digest(once.content)} {settled_id} made", px=KEPT_MS)
    finally:
        with suppress(StoreUnavailable):  # Then the lock expires.
            if await redis.get(lock) == new.encode():
                await redis.delete(lock)


async def _settle(
    redis: Redis, name: str, once: Once, new: str, exists: Callable[[str], Awaitable[bool]]
) -> tuple[str, bool]:
    """The id, and whether its object is known to have been made."""
    content = _digest(once.content)
    if (before := await redis.get(name)) is not None:
        # A string of {digest of the content} {id}, and `made` once the request has succeeded.
        asked, settled_id, *made = bytes(before).decode().split(" ")
        there = await exists(settled_id)
        if made and not there:
            raise Conflict(f"this idempotency-key created {settled_id}, which was deleted since; use a new key")
        if asked == content:
            return settled_id, bool(made)
        if there:
            raise Conflict("this idempotency-key was sent before with another body; use a new key")
    # The id stands here before the object is made: after a crash, the same request makes the same object.
    await redis.set(name, f"{content} {new}", px=KEPT_MS)
    return new, False


def _digest(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()
