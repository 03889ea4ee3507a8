"""Requests that a client can send twice: they have their effect once, and each gets the answer of the first one.

Before a request runs, it takes its key: see begin_request.lua. The answer of one that succeeded is kept encrypted,
because it can hold a secret. One that was refused changed nothing and gives its key back. One that failed may have had
its effect: it leaves its key to the same request alone, which runs again and makes the same object, because the key
holds its id.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from redis.asyncio import Redis

from relay.errors import Fault, InProgress, Invalid
from relay.store import request_keys
from relay.store.identifiers import new_id
from relay.store.scripts import script
from relay.store.vault import Vault

KEPT_MS = 24 * 3600 * 1000
"""How long a client can send a request again (draft-ietf-httpapi-idempotency-key-header)."""
LOCK_MS = 30_000
"""How long a request can hold its key. A process that dies holds it as long."""
KEY_MOST = 256
"""Characters of a client's key."""
HEADER = "idempotency-key"


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """The answer to a request, as it is kept."""

    status: int
    content_type: str
    body: bytes


class Once(NamedTuple):
    """A request that runs now, and holds its key."""

    name: str
    """Of its key in the store."""
    letters: str
    """Of the id of what it makes, if it makes anything: the same, however often it runs."""
    token: str

    def new_id(self, prefix: str) -> str:
        """The id of the object that it creates."""
        return prefix + self.letters


@dataclass(frozen=True, slots=True)
class Repeatable:
    """A request with an idempotency key."""

    key: str
    """The client's key, together with the principal and the path, so that a key belongs to one of each."""
    content: bytes
    """What makes two requests the same: the query and the body."""


class Idempotency:
    """The keys of requests."""

    def __init__(self, redis: Redis, vault: Vault) -> None:
        self._redis = redis
        self._vault = vault
        self._key = vault.derived("idempotency")[-1]

    async def begin(self, request: Repeatable, *, now_ms: int) -> Once | Answer:
        """Take the key of a request, or give the answer that the same request got.

        Raises InProgress while the first one runs, Invalid if the key had another query or body, and Unreadable.
        """
        name = _digest(request.key.encode())
        fresh = new_id("", now_ms=now_ms)
        said, *rest = await script("begin_request")(
            self._redis,
            [request_keys.idempotency(name)],
            [self._content(request), fresh, LOCK_MS, KEPT_MS, _digest(request.content)],
        )
        if said == b"other":
            raise Invalid(Fault(("header", HEADER), "was sent before with another body or query; use a new key"))
        if said == b"running":
            raise InProgress("a request with this idempotency-key is in progress; retry when it has ended")
        if said == b"answered":
            opened = self._vault.open(rest[0].decode("ascii", "replace"), _context(name))
            return msgspec.msgpack.decode(opened, type=Answer)
        return Once(name, rest[0].decode(), fresh)

    async def answered(self, once: Once, answer: Answer) -> None:
        """Keep the answer of a request that succeeded. Raises StoreUnavailable."""
        await self._end(once, self._vault.seal(msgspec.msgpack.encode(answer), _context(once.name)))

    async def refused(self, once: Once) -> None:
        """Give the key back: the request changed nothing. Raises StoreUnavailable."""
        await self._end(once, "refused")

    async def failed(self, once: Once) -> None:
        """Leave the key to the same request: nobody knows what became of it. Raises StoreUnavailable."""
        await self._end(once, "failed")

    def _content(self, request: Repeatable) -> str:
        """What tells whether two requests are the same. Without the key, nobody can find out a short body from it.

        The oldest key stays when a new one is put before it.
        """
        return hmac.new(self._key, request.content, hashlib.sha256).hexdigest()

    async def _end(self, once: Once, outcome: str) -> None:
        await script("end_request")(self._redis, [request_keys.idempotency(once.name)], [once.token, outcome])


def _context(name: str) -> str:
    return f"idempotency|{name}"


def _digest(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()
