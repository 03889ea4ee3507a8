"""A master that Sentinels know: it is found, left when another one takes its place, and wrong names are told."""

import asyncio
from contextlib import suppress

import pytest
from redis.asyncio import ConnectionPool, Redis

from relay.errors import StoreDenied, StoreRefused, StoreUnavailable
from relay.store import keys, notices, sentinel
from relay.store.connection import connect, ping
from relay.store.needs import unmet_needs
from relay.store.notices import Notices, Woken
from tests.fault.server import Server
from tests.fault.stage import until
from tests.fault.topologies import MASTER, Watched, watched
from tests.integration.store.test_redis_access import works

CONNECTIONS = 8


async def test_a_master_that_is_replaced_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that is open leads to the new one: what was idle, what listens, and what reads only."""
    monkeypatch.setattr(sentinel, "LOOK_EVERY_S", 0.3)
    monkeypatch.setattr(notices, "QUIET_S", 0.5)
    async with watched() as on:
        await works(on.url)
        await works(f"{on.url}/3?protocol=2")
        await _check_refusals(on)
        client = connect(on.url)
        heard: asyncio.Queue[object] = asyncio.Queue()
        listening = asyncio.create_task(_listen(client, heard))
        try:
            await _use(client.connection_pool, CONNECTIONS)
            assert await _clients(await on.master()) > CONNECTIONS
            # Cut off from the others, it answers as before, and would be made to forget all of it.
            old, new = await on.hand_over()
            await until(lambda: _is_written(client, new), what="the new master to be found")
            # More than there were before: who listens may have opened and given back some.
            await _use(client.connection_pool, 4 * CONNECTIONS)
            await until(lambda: _is_heard(client, heard), what="a notice by the new master")
            # A server counts a connection until it has seen its end.
            await until(lambda: _is_left(old), what="the old master to be left")
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            await client.aclose()


async def _use(pool: ConnectionPool, count: int) -> None:
    """Send a command over each of so many connections."""
    opened = [await pool.get_connection() for _ in range(count)]
    for each in opened:
        await each.send_command("GET", "relay:x")
        await each.read_response()
        await pool.release(each)


async def _check_refusals(on: Watched) -> None:
    """What is wrong with a URL is told at the first command."""
    master, watcher = await on.master(), on.sentinels[0]
    await _is_refused(on.url.replace(f"/{MASTER}", "/other"), f"know no master other, but {MASTER}")
    await _is_refused(f"redis+sentinel://127.0.0.1:{master.port}/{MASTER}", "are no Sentinels")
    await _is_refused(f"redis+cluster://127.0.0.1:{master.port}", "not part of a cluster")
    plain = connect(f"redis://127.0.0.1:{watcher.port}")
    assert "redis+sentinel://" in "".join(await unmet_needs(plain))
    await plain.aclose()
    nobody = connect(f"redis+sentinel://127.0.0.1:1,127.0.0.1:2/{MASTER}")
    with pytest.raises(StoreUnavailable, match="no Sentinel answers"):
        await ping(nobody)
    await nobody.aclose()
    await watcher.ask("ACL", "SETUSER", "asks", "on", ">right", "+sentinel|master", "+hello", "+auth")
    url = f"redis+sentinel://127.0.0.1:{watcher.port}/{MASTER}?sentinel_username=asks&sentinel_password="
    known = connect(f"{url}right")
    await ping(known)
    await known.aclose()
    unknown = connect(f"{url}wrong")
    with pytest.raises(StoreDenied, match="sentinel_password") as denied:
        await ping(unknown)
    await unknown.aclose()
    assert "wrong" not in str(denied.value)


async def _is_refused(url: str, said: str) -> None:
    client = connect(url)
    with pytest.raises(StoreRefused, match=said):
        await ping(client)
    await client.aclose()


async def _listen(client: Redis, heard: "asyncio.Queue[object]") -> None:
    while True:
        with suppress(StoreUnavailable):
            async for notice in Notices(client).listen():
                heard.put_nowait(notice)
        await asyncio.sleep(0.05)


async def _is_written(client: Redis, server: Server) -> bool:
    await client.set("relay:written", "1")
    return await server.ask("GET", "relay:written") is not None


async def _is_heard(client: Redis, heard: "asyncio.Queue[object]") -> bool:
    await client.publish(keys.WAKE_CHANNEL, "new")
    await asyncio.sleep(0.05)
    return Woken("new") in [heard.get_nowait() for _ in range(heard.qsize())]  # type: ignore[arg-type]


async def _clients(server: Server) -> int:
    """Connections of the relay's: those of Sentinels have names, and flags tell a replica and our socket."""
    clients = await server.ask("CLIENT LIST")
    return sum(not each["name"] and not set(each["flags"]) & set("SMU") for each in clients)


async def _is_left(server: Server) -> bool:
    return await _clients(server) == 0
