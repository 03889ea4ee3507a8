"""A cluster: each command goes to the node that has its key, and nothing is done half while a slot moves."""

import asyncio

import pytest
from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import ResponseError

from relay.domain.sending.effects import HandIn
from relay.errors import StoreUnavailable
from relay.store import keys
from relay.store.cluster import slot_of
from relay.store.connection import connect
from relay.store.needs import COMMANDS, PROBE, unmet_needs
from relay.store.notices import Changed, Expunged, Notices
from relay.store.server import Server as StoreServer
from tests.fakes.eyes import eyes
from tests.fault.server import Server
from tests.fault.topologies import Cluster, cluster
from tests.integration.books import dump
from tests.integration.store.floor import UK, A, B, Floor, attempt
from tests.integration.store.test_redis_access import works

SLOT = key_slot(keys.prefix(UK).encode())


async def test_a_cluster_is_as_good_as_a_server() -> None:
    """Commands, scripts, transactions, notices and arq; and while the slot of a source moves, all of it or nothing."""
    async with cluster() as on:
        await works(on.url)
        await _check_forms(on)
        await _check_keys(on.primaries[0])
        client = eyes(on.url)
        try:
            await _check_the_fullest_counts(on, client)
            await _check_notices(client)
            await _check_a_moving_slot(on, client)
        finally:
            await client.aclose()


async def _check_forms(on: Cluster) -> None:
    """A plain URL to a node is refused with the form to use."""
    plain = connect(f"redis://127.0.0.1:{on.primaries[0].port}")
    assert "redis+cluster://" in "".join(await unmet_needs(plain))
    await plain.aclose()


async def _check_keys(node: Server) -> None:
    """The server finds the same key in each command that the relay uses."""
    for command in COMMANDS.replace("\n", "|").split("|"):
        if words := [word.replace("{key}", PROBE) for word in command.split()]:
            assert slot_of(*words) == await _slot(node, words), words
    assert slot_of("SCAN", 0, "MATCH", f"{keys.prefix(UK)}*", "COUNT", 1) == SLOT


async def _slot(node: Server, words: list[str]) -> int | None:
    try:
        found = await node.ask("COMMAND GETKEYS", *words)
    except ResponseError as error:
        if any(said in str(error) for said in ("no key arguments", "number of arguments")):
            return None
        raise
    return key_slot(found[0].encode()) if found else None


async def _check_the_fullest_counts(on: Cluster, client: Redis) -> None:
    """Whichever node that is: sources stop when one of them is full."""
    await on.primaries[2].ask("CONFIG", "SET", "maxmemory", 12_345_678)
    assert (await StoreServer(client).memory()).limit == 12_345_678
    await on.primaries[2].ask("CONFIG", "SET", "maxmemory", 0)


async def _check_notices(client: Redis) -> None:
    """What is published by any node is heard."""
    listening = Notices(client).listen()
    assert [await anext(listening), await anext(listening)] == [Expunged(None), Changed()]
    hearing = asyncio.ensure_future(anext(listening))
    while not hearing.done():
        for node in await client.servers():  # type: ignore[attr-defined]
            await node.publish(keys.CHANGED_CHANNEL, 1)
        await asyncio.sleep(0.01)
    assert await hearing == Changed()
    await listening.aclose()


async def _check_a_moving_slot(on: Cluster, client: Redis) -> None:
    """Scripts wait until the slot has moved, and single keys are found wherever they are."""
    floor, source = Floor(client), on.owner(keys.prefix(UK))
    target = next(each for each in on.primaries if each is not source)
    # All keys that commit_page.lua declares are there: only the one that never is tells that the slot is moving.
    await client.set(keys.subscriptions(UK), "0")
    await client.hset(keys.route(UK, "all"), "cursor", "0")  # type: ignore[misc]
    await client.zadd(keys.trail(UK, "all"), {"0": 0})
    await floor.fill(A, numbers=range(1, 50))
    ids = [(await each.ask("CLUSTER", "MYID")).decode() for each in (source, target)]
    await target.ask("CLUSTER", "SETSLOT", SLOT, "IMPORTING", ids[0])
    await source.ask("CLUSTER", "SETSLOT", SLOT, "MIGRATING", ids[1])
    await _is_untouched(floor)
    await _move(source, target, (await source.ask("CLUSTER", "GETKEYSINSLOT", SLOT, 3)))
    await _is_untouched(floor)
    # The lane of an endpoint that has none yet would be made where the slot goes.
    await client.rpush(keys.lane(UK, B), "later")  # type: ignore[misc]
    assert await client.lrange(keys.lane(UK, B), 0, -1) == [b"later"]  # type: ignore[misc]
    await client.delete(keys.lane(UK, B))
    async with client.pipeline(transaction=False) as pipe:
        for name in (keys.lanes(UK), keys.references(UK), keys.sequence(UK), keys.nothing(keys.CLOCK)):
            pipe.exists(name)
        assert await pipe.execute() == [1, 1, 1, 0]
    await _move(source, target, await source.ask("CLUSTER", "GETKEYSINSLOT", SLOT, 1000))
    for each in (target, source, *on.primaries):
        await each.ask("CLUSTER", "SETSLOT", SLOT, "NODE", ids[1])
    await floor.claim("s")
    await floor.exchange("s", HandIn(A, ended=[b"a1:2:00000"], attempts=[attempt(A, 1, 1)], leaving="go"))
    assert len((await floor.books()).waiting[A]) == 48


async def _is_untouched(floor: Floor) -> None:
    """A script is refused before it begins."""
    before = await dump(floor.redis)
    turns = dict(floor._turns)
    with pytest.raises(StoreUnavailable, match="moving a slot"):
        await floor.exchange("s", claim=1)
    with pytest.raises(StoreUnavailable, match="moving a slot"):
        await floor.fill(B, numbers=range(50, 52))
    floor._turns = turns
    await floor.redis.set(keys.sequence(UK), before[keys.sequence(UK)])  # The floor writes it by itself.
    assert await dump(floor.redis) == before


async def _move(source: Server, target: Server, names: list[bytes]) -> None:
    for name in names:
        await source.ask("MIGRATE", "127.0.0.1", target.port, name.decode(), 0, 5000)
