"""A client of a cluster: each command goes to the node that has its key.

redis-py's own asyncio client of a cluster (5.3) has no transactions and no pub/sub, and sends commands of a pipeline
again that may have been executed. This one sends again what a node refused because another one has the key, and
nothing else.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.cluster import ClusterParser
from redis.crc import key_slot
from redis.exceptions import AskError, MovedError, RedisError, ResponseError

from relay.errors import StoreUnavailable
from relay.store import keys
from relay.store.client import StorePipeline, StoreRedis
from relay.store.own_connection import Address, use_own_connections
from relay.store.refusals import sorted_out
from relay.store.slots import SlotPlace, Slots, target

REDIRECTIONS = 5
"""A command that was sent on as often meets a cluster that does not agree with itself."""
KEYLESS = frozenset(("PING", "TIME", "INFO", "DBSIZE", "SCRIPT", "PUBLISH", "ASKING"))
Command = tuple[tuple[Any, ...], Mapping[str, Any]]
"""Arguments and options, as redis-py's pipelines keep them."""


def slot_of(*args: Any) -> int | None:
    """The slot of a command's first key; None: it has no key, and any node can answer."""
    name = args[0].decode() if isinstance(args[0], bytes) else str(args[0])
    verb = name.upper().split(" ")[0]
    if verb in KEYLESS or len(args) < 2:
        return None
    if verb in ("EVAL", "EVALSHA"):
        return _slot(args[3]) if int(args[2]) else None
    if verb == "SCAN":
        # Who looks for keys of one tag says so in the pattern.
        named = [str(arg) for arg in args[2:] if "{" in str(arg)]
        return _slot(named[0]) if named else None
    return _slot(args[1])


def _slot(key: Any) -> int:
    return key_slot(key if isinstance(key, bytes) else str(key).encode())


class ClusterRedis(StoreRedis):
    """Sends each command to where its key is. What has no key goes to the node whose clock all processes follow."""

    def __init__(self, slots: Slots, options: dict[str, Any]) -> None:
        """`options` are those of a connection to any node."""
        self._slots, self._options = slots, {**options, "parser_class": ClusterParser}
        self._nodes: dict[Address, Redis] = {}
        home = ConnectionPool(**self._options)
        use_own_connections(home, SlotPlace(slots, _slot(keys.CLOCK)))
        super().__init__(connection_pool=home)
        self.auto_close_connection_pool = True

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send one command."""
        if args[0] == "SCRIPT LOAD":
            # Any node may get the next call of it.
            loaded = [await node.script_load(args[1]) for node in await self.servers()]
            return loaded[0]
        if (slot := slot_of(*args)) is None:
            return await super().execute_command(*args, **options)
        for _ in range(REDIRECTIONS):
            address = await self._owner(slot)
            try:
                return await self._node(address).execute_command(*args, **options)  # type: ignore[no-untyped-call]
            except MovedError as moved:
                self._slots.moved(moved, address)
            except AskError as ask:
                return await self._ask(self._node(target(ask, address)), *args, **options)
            except StoreUnavailable:
                self._slots.doubt()
                raise
        raise StoreUnavailable("the nodes of the Redis cluster don't agree on who has a slot")

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """Gather commands for one round trip to each node."""
        return ClusterPipeline(self, transaction=transaction)

    async def servers(self) -> list[Redis]:
        """A client of each primary."""
        try:
            return [self._node(address) for address in await self._slots.primaries()]
        except RedisError as error:
            raise sorted_out(error) from error

    async def together(self, commands: Sequence[Command], *, raise_on_error: bool) -> list[Any]:
        """Run commands of one slot as a transaction. Nothing is executed of one that is refused."""
        slot = next((found for args, _ in commands if (found := slot_of(*args)) is not None), _slot(keys.CLOCK))
        for _ in range(REDIRECTIONS):
            address = await self._owner(slot)
            pipe = self._node(address).pipeline(transaction=True)
            pipe.command_stack = list(commands)
            try:
                return await pipe.execute(raise_on_error)
            except MovedError as moved:
                self._slots.moved(moved, address)
            except AskError as ask:
                raise StoreUnavailable("the Redis cluster is moving a slot to another node") from ask
            except StoreUnavailable:
                self._slots.doubt()
                raise
        raise StoreUnavailable("the nodes of the Redis cluster don't agree on who has a slot")

    async def side_by_side(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands in order, as far as they have the same slot. Their own errors are among the answers."""
        answers: list[Any] = [None] * len(commands)
        parts = await self._parted(commands)
        sent = [self._send(address, [commands[at] for at in part]) for address, part in parts.items()]
        # No part may still be under way when this ends, also where a node is away.
        found_by_part = await asyncio.gather(*sent, return_exceptions=True) if len(sent) > 1 else [await sent[0]]
        for part, found in zip(parts.values(), found_by_part, strict=True):
            if isinstance(found, BaseException):
                raise found
            for at, answer in zip(part, found, strict=True):
                answers[at] = answer
        for at, answer in enumerate(answers):
            if isinstance(answer, AskError):
                answers[at] = await self._sent_on(*commands[at])
        return answers

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close all connections."""
        for node in self._nodes.values():
            await node.aclose()
        await super().aclose(close_connection_pool)

    async def _parted(self, commands: Sequence[Command]) -> dict[Address, list[int]]:
        """The places of the commands for each node. One without a key goes with the one before it."""
        parts: dict[Address, list[int]] = {}
        slots = [slot_of(*args) for args, _ in commands]
        slot = next((found for found in slots if found is not None), _slot(keys.CLOCK))
        for at, found in enumerate(slots):
            slot = slot if found is None else found
            parts.setdefault(await self._owner(slot), []).append(at)
        return parts

    async def _send(self, address: Address, commands: list[Command]) -> list[Any]:
        pipe = self._node(address).pipeline(transaction=False)
        pipe.command_stack = list(commands)
        try:
            return await pipe.execute(raise_on_error=False)
        except StoreUnavailable:
            self._slots.doubt()
            raise

    async def _sent_on(self, args: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
        try:
            return await self.execute_command(*args, **options)
        except ResponseError as error:
            return error

    async def _ask(self, node: Redis, *args: Any, **options: Any) -> Any:
        """A slot is on its way to another node, and this key may be there already."""
        async with node.pipeline(transaction=False) as pipe:
            pipe.execute_command("ASKING")
            pipe.execute_command(*args, **options)
            _, answer = await pipe.execute(raise_on_error=False)
        if isinstance(answer, AskError):
            raise StoreUnavailable("the Redis cluster is moving a slot to another node")
        if isinstance(answer, RedisError):
            raise sorted_out(answer)
        return answer

    async def _owner(self, slot: int) -> Address:
        try:
            return await self._slots.owner(slot)
        except RedisError as error:
            raise sorted_out(error) from error

    def _node(self, address: Address) -> Redis:
        if (node := self._nodes.get(address)) is None:
            pool = ConnectionPool(**{**self._options, "host": address[0], "port": address[1]})
            use_own_connections(pool)
            self._nodes[address] = node = StoreRedis.from_pool(pool)
        return node


class ClusterPipeline(StorePipeline):
    """Commands for several nodes; a transaction has one slot. There is no WATCH: scripts do what would need it."""

    def __init__(self, cluster: ClusterRedis, *, transaction: bool) -> None:
        super().__init__(cluster.connection_pool, cluster.response_callbacks, transaction, None)
        self._cluster = cluster

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send what was gathered."""
        commands = self.command_stack
        await self.reset()  # type: ignore[no-untyped-call]
        if not commands:
            return []
        if self.is_transaction:
            return await self._cluster.together(commands, raise_on_error=raise_on_error)
        answers = await self._cluster.side_by_side(commands)
        for answer in answers if raise_on_error else ():
            if isinstance(answer, ResponseError):
                raise sorted_out(answer) from answer
        return answers


def address_of(node: Redis) -> str:
    """The host and port of a client of one server, for messages."""
    options = node.connection_pool.connection_kwargs
    return f"{options.get('host')}:{options.get('port')}"


async def servers(redis: Redis) -> Sequence[Redis]:
    """A client of each server that holds keys: a cluster has several. Raises StoreUnavailable."""
    return await redis.servers() if isinstance(redis, ClusterRedis) else [redis]
