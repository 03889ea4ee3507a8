"""The audit log: who changed what, when, from where, and what it was before. Kept by time and by size.

Entries stand in one hash under their positions, and their positions in indexes: of all, and by application, principal,
object and action. A list reads one index, so an application's list never meets an entry of another one.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import structs
from redis.asyncio import Redis

from relay.domain.erasing import Identity, blanked
from relay.store import request_keys
from relay.store.journal import Change
from relay.store.scripts import script

DROPPED_AT_ONCE = 100
"""Old entries that one write, or one step of upkeep, drops: more than it adds."""
READ_AT_ONCE = 500
SAID = ("name", "path", "changes")
"""The fields of an entry whose texts come from requests."""
ALL = "all"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What one request did."""

    at_ms: int
    principal: str
    """The id of the key, or `admin`."""
    name: str
    """The name that the key had."""
    action: str
    """`endpoint.create`, …"""
    application: str = ""
    """'': it was not about one application."""
    address: str
    request_id: str
    method: str
    path: str
    status: int
    changes: list[Change] = []
    position: str = ""
    """Where it stands: 15 digits of ms and 6 of a number. Newer ones are greater."""


class Audit:
    """The log."""

    def __init__(self, redis: Redis, *, retention_s: float, most_bytes: int) -> None:
        self._redis = redis
        self._retention_ms = round(retention_s * 1000)
        self._most_bytes = most_bytes

    async def write(self, entry: Entry) -> None:
        """Write an entry down, also when the server is full, and drop old ones. Raises StoreUnavailable."""
        terms = [ALL, f"principal:{entry.principal}", f"action:{entry.action}"]
        terms += [f"application:{entry.application}"] if entry.application else []
        terms += dict.fromkeys(f"object:{change.object}" for change in entry.changes)
        await self._run([request_keys.audit_index(term) for term in terms], msgspec.json.encode(entry), entry.at_ms)

    async def trim(self, *, now_ms: int) -> None:
        """Drop some of what is too old or too much. Raises StoreUnavailable."""
        await self._run([request_keys.audit_index(ALL)], b"", now_ms)

    async def _run(self, indexes: Sequence[str], entry: bytes, now_ms: int) -> None:
        names = [request_keys.AUDIT, request_keys.AUDIT_BYTES, *indexes]
        args = [entry, now_ms, self._retention_ms, self._most_bytes, DROPPED_AT_ONCE]
        await script("write_audit")(self._redis, names, args)

    async def erase(self, identity: Identity, *, dry_run: bool) -> int:
        """Blank the texts that contain an identity; gives how many entries had any. Raises StoreUnavailable.

        A path can name a message by the `eventId` that its poster gave it, and a filter can name a phone number.
        """
        found = 0
        async for position, text in self._redis.hscan_iter(request_keys.AUDIT, count=READ_AT_ONCE):
            fields: dict[str, Any] = msgspec.json.decode(text)
            after = fields | {name: blanked(fields[name], identity) for name in SAID if name in fields}
            if after == fields:
                continue
            found += 1
            if not dry_run:
                for change in _entry("", text).changes:
                    if identity.is_in_text(change.object):
                        await self._redis.zrem(request_keys.audit_index(f"object:{change.object}"), position)
                # As long as before, so that the sum of bytes stays right.
                args = [position, text, msgspec.json.encode(after).ljust(len(text))]
                await script("replace_field")(self._redis, [request_keys.AUDIT], args)
        return found

    async def page(self, term: str, *, edge: str | None, newer: bool, limit: int) -> list[tuple[str, Entry | None]]:
        """Up to `limit` entries of an index with their positions: the newest below an edge, or the oldest from it on.

        None: the entry was dropped in the meantime. An empty list: there are no more. Raises StoreUnavailable.
        """
        index = request_keys.audit_index(term)
        if newer:
            found = await self._redis.zrangebylex(index, f"[{edge}" if edge else "-", "+", start=0, num=limit)
        else:
            found = await self._redis.zrevrangebylex(index, f"({edge}" if edge else "+", "-", start=0, num=limit)
        positions = [bytes(each).decode() for each in found]
        stored = await self._redis.hmget(request_keys.AUDIT, positions) if positions else []  # type: ignore[misc]
        return [(at, None if text is None else _entry(at, text)) for at, text in zip(positions, stored, strict=True)]


def edge_at(at_ms: int) -> str:
    """The edge below everything of a time and later."""
    return f"{max(0, at_ms):015d}"


def above(position: str) -> str:
    """The edge right above a position."""
    return position + "~"


def _entry(position: str, text: bytes) -> Entry:
    return structs.replace(msgspec.json.decode(text, type=Entry), position=position)
