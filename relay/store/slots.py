"""Which node of a cluster has which slot: read from the nodes, corrected by what they answer, read again in doubt."""

import asyncio
import random
from typing import Any, NamedTuple

from redis.crc import REDIS_CLUSTER_HASH_SLOTS
from redis.exceptions import AskError, AuthenticationError, InvalidResponse, MovedError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from relay.store.asking import Told, ask_each
from relay.store.own_connection import WRONG_SERVER, Address, Place

ASK_AT_ONCE = 5
"""Nodes that are asked for the map: one that is away, or cut off from the others, must not have the only say."""
QUESTION = (("CLUSTER", "SLOTS"), ("CLUSTER", "INFO"))
READ_EVERY_S = 0.2
"""While nodes are away each command doubts the map."""


class SlotMap(NamedTuple):
    """What a node says of the cluster."""

    epoch: int
    """Grows with each failover and each slot that moves."""
    owners: dict[int, Address]
    """Slot → the primary that has it."""
    nodes: frozenset[Address]
    """All nodes, replicas too."""


class Slots:
    """The map that a process has of a cluster."""

    def __init__(self, seeds: list[Address], options: dict[str, Any]) -> None:
        """`options` are those of a connection to any node."""
        self._seeds, self._options = seeds, options
        self._map = SlotMap(-1, {}, frozenset())
        self._doubted = True
        self._read_at = 0.0
        self._reading: asyncio.Task[None] | None = None

    async def owner(self, slot: int) -> Address:
        """The primary that has a slot. Raises redis-py's own errors."""
        await self._sure()
        if (found := self._map.owners.get(slot)) is None:
            self.doubt()
            raise RedisConnectionError(f"the cluster has no node for slot {slot}")
        return found

    async def primaries(self) -> list[Address]:
        """All primaries that have slots."""
        await self._sure()
        return sorted(set(self._map.owners.values()))

    def known_owner(self, slot: int) -> Address | None:
        """What the map says at this moment, right or wrong."""
        return self._map.owners.get(slot)

    def doubt(self) -> None:
        """Something did not work: read the map again before it is used next."""
        self._doubted = True

    def moved(self, error: MovedError, asked: Address) -> None:
        """A node said who has a slot."""
        self._map.owners[int(error.slot_id)] = target(error, asked)
        self.doubt()

    async def _sure(self) -> None:
        loop = asyncio.get_running_loop()
        if self._map.owners and (not self._doubted or loop.time() < self._read_at + READ_EVERY_S):
            return
        if self._reading is None:
            self._reading = loop.create_task(self._read(), name="slots")
            self._reading.add_done_callback(self._have_read)
        # Several wait for the same answer, and one that is cancelled must not take it from the others.
        await asyncio.shield(self._reading)

    def _have_read(self, reading: asyncio.Task[None]) -> None:
        self._reading = None
        if not reading.cancelled():
            reading.exception()  # Tasks that wait get it; there may be none any more.

    async def _read(self) -> None:
        known = random.sample(sorted(self._map.nodes), min(ASK_AT_ONCE, len(self._map.nodes)))
        told, faults = await ask_each(known, QUESTION, self._options) if known else ([], [])
        if not told:
            # Names may lead to other nodes by now.
            told, faults = await ask_each(self._seeds[:ASK_AT_ONCE], QUESTION, self._options)
        self._read_at = asyncio.get_running_loop().time()
        if told:
            # A map without any slot is that of a node that was reset, or is not in the cluster yet.
            self._map = max(map(read_slots, told), key=lambda found: (bool(found.owners), found.epoch))
            self._doubted = False
        elif not self._map.owners or any(_is_final(fault) for fault in faults):
            raise next((fault for fault in faults if _is_final(fault)), _nobody(faults))


def target(error: AskError, asked: Address) -> Address:
    """Where a node sends us. It may leave its own host out."""
    host, port = error.node_addr
    return (host if host not in ("", "?") else asked[0]), int(port)


def read_slots(told: Told) -> SlotMap:
    """Read what a node answers to QUESTION. Raises InvalidResponse for anything of another form."""
    ranges, info = told.answers
    owners, nodes = dict[int, Address](), set[Address]()
    try:
        for first, last, *places in ranges:
            those = [_address(place, told.by) for place in places]
            nodes.update(those)
            for slot in range(max(0, int(first)), min(int(last), REDIS_CLUSTER_HASH_SLOTS - 1) + 1):
                owners[slot] = those[0]
        fields = dict(line.split(":", 1) for line in bytes(info).decode().split("\r\n") if ":" in line)
        return SlotMap(int(fields["cluster_current_epoch"]), owners, frozenset(nodes))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise InvalidResponse("CLUSTER SLOTS has an answer of another form") from error


def _address(place: list[Any], asked: Address) -> Address:
    host = place[0].decode() if place[0] else ""
    return (host if host not in ("", "?") else asked[0]), int(place[1])


def _is_final(fault: RedisError) -> bool:
    """One that a further question will not change: said at the start."""
    return isinstance(fault, ResponseError | AuthenticationError) or isinstance(fault.__cause__, AuthenticationError)


def _nobody(faults: list[RedisError]) -> RedisError:
    return RedisConnectionError(f"no node of the cluster answers: {faults[0] if faults else 'time-out'}")


class SlotPlace(Place):
    """Where the primary of one slot is: for a client that uses this slot alone, or commands without keys."""

    wrong = (*WRONG_SERVER, MovedError)

    def __init__(self, slots: Slots, slot: int) -> None:
        super().__init__()
        self._slots, self._slot = slots, slot
        self._address: Address | None = None

    async def find(self) -> Address:
        """Who has the slot now. That a connection is needed is a reason to doubt."""
        self._slots.doubt()
        self._address = await self._slots.owner(self._slot)
        return self._address

    def look(self) -> None:
        """Leave a node that does not have the slot any more, as far as that is known."""
        known = self._slots.known_owner(self._slot)
        if self._address is not None and known is not None and known != self._address:
            self._address = known
            self.leave()

    def leave(self) -> None:
        """Ask again, too."""
        self._slots.doubt()
        super().leave()
