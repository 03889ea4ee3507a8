"""What the relay needs of its server: which rights are missing is said at the start, with what to grant."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from relay.domain.model import Secret
from relay.errors import StoreRefused
from relay.starting import check_start
from relay.store.configuration import Configuration
from relay.store.connection import connect
from relay.store.needs import COMMANDS, GRANT, unmet_needs
from relay.store.seal import Seal
from relay.store.vault import Vault
from tests.fault.server import Server, own_server
from tests.integration.store.servers import PROGRAMS


@pytest.fixture(params=PROGRAMS)
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    async with own_server(program=request.param) as server:
        yield server


def seal_of(client: Redis) -> Seal:
    vault = Vault([Secret("A" * 43 + "=")])
    return Seal(client, vault, Configuration(client, vault))


@asynccontextmanager
async def user(server: Server, *rules: str) -> AsyncIterator[Redis]:
    """A client of a user with the documented rights and further rules."""
    await server.ask("ACL", "SETUSER", "relay", "reset", "on", ">secret", *GRANT.split(), *rules)
    client = connect(f"redis://relay:secret@127.0.0.1:{server.port}/0")
    try:
        yield client
    finally:
        await client.aclose()


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        (["-info"], ["info"]),
        (["-hset", "-zadd"], ["hset", "zadd"]),
        (["-@scripting"], ["script|load", "eval"]),
        (["-script|load"], ["script|load"]),
        (["-publish"], ["publish"]),
        (["-subscribe"], ["subscribe"]),
        (["-@pubsub"], ["publish", "subscribe"]),
        (["-watch"], ["watch"]),
        (["-multi"], ["multi"]),
        (["resetchannels"], ["channel"]),
        (["resetkeys", "~relay:*"], ["keys like arq:{jobs}:*"]),
        (["resetkeys", "~relay:{config}:*", "~arq:*"], ["keys like relay:s:{"]),
        (["resetkeys", "%R~relay:*", "%R~arq:*"], ["key"]),
        (["-@write"], ["set", "hset", "xadd"]),
    ],
    ids=" ".join,
)
async def test_a_missing_right_is_named(server: Server, rules: list[str], named: list[str]) -> None:
    """With the rules to grant; whoever starts ends with that, in one line."""
    async with user(server, *rules) as client:
        (said,) = await unmet_needs(client)
        assert all(name in said for name in named), said
        assert GRANT in said
        with pytest.raises(StoreRefused, match="may not use") as refused:
            await check_start(client, seal_of(client))
        assert "\n" not in str(refused.value)


async def test_each_command_is_missed_by_itself(server: Server) -> None:
    """None is in the list for nothing, and none is tried in a way that hides that it is forbidden."""
    names = {command.split()[0].lower() for command in COMMANDS.replace("\n", "|").split("|") if command.split()}
    for name in sorted(names):
        async with user(server, f"-{name}") as client:
            (said,) = await unmet_needs(client)
            assert name in said


async def test_what_is_tried_leaves_nothing_behind(server: Server) -> None:
    async with user(server) as client:
        assert await unmet_needs(client) == []
        assert await client.dbsize() == 0


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-lru", "allkeys-random", "volatile-ttl", "allkeys-lfu"])
async def test_a_server_that_evicts_is_refused(server: Server, policy: str) -> None:
    await server.ask("CONFIG", "SET", "maxmemory-policy", policy)
    async with user(server) as client:
        with pytest.raises(StoreRefused, match=f"maxmemory-policy {policy}.*Set maxmemory-policy noeviction"):
            await check_start(client, seal_of(client))


async def test_a_server_that_is_away_is_waited_for(server: Server) -> None:
    """It may come: a process that ended for that would be no better."""
    client = connect(f"redis://127.0.0.1:{server.port}/0")
    await server.kill()
    await check_start(client, seal_of(client))
    await client.aclose()
