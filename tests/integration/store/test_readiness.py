"""Readiness is more than a sign of life: the relay says why it can't work, and soon."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from relay.errors import StoreUnavailable
from relay.jobs import connect_jobs
from relay.store import readiness as module
from relay.store.connection import connect
from relay.store.needs import GRANT
from relay.store.notices import Changed, Expunged, Notices
from relay.store.readiness import ANSWER_WITHIN_S, Readiness
from relay.store.scripts import run_all, script
from tests.fault.server import Server, own_server
from tests.integration.store.servers import PROGRAMS
from tests.patience import PATIENCE_S


@pytest.fixture(params=PROGRAMS)
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    async with own_server(program=request.param) as server:
        yield server


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Redis]:
    await server.ask("ACL", "SETUSER", "relay", "reset", "on", ">secret", *GRANT.split())
    client = connect(f"redis://relay:secret@127.0.0.1:{server.port}/0")
    yield client
    await client.aclose()


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_WITHIN_S", PATIENCE_S)


@pytest.mark.parametrize(
    ("breaks", "mends", "said"),
    [
        (["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"], "read-only replica|connection to its primary"),
        (["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "SET", "maxmemory", "0"], "out of memory"),
        (["ACL", "SETUSER", "relay", "-set"], ["ACL", "SETUSER", "relay", "+set"], "may not use set|'set' command"),
        (["ACL", "SETUSER", "relay", "-@all"], ["ACL", "SETUSER", "relay", *GRANT.split()], "may not use|permissions"),
        (
            ["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"],
            ["CONFIG", "SET", "maxmemory-policy", "noeviction"],
            "evicts",
        ),
        (
            ["CONFIG", "SET", "min-replicas-to-write", "3"],
            ["CONFIG", "SET", "min-replicas-to-write", "0"],
            "too few replicas",
        ),
    ],
    ids=["replica", "full", "a missing right", "no rights", "evicting", "too few replicas"],
)
@pytest.mark.parametrize("when", ["at the start", "later"])
async def test_why_it_cannot_work_is_said(
    server: Server, client: Redis, breaks: list[str], mends: list[str], said: str, when: str
) -> None:
    """And it is ready again by itself when that is mended, on whatever connections it has."""
    readiness = Readiness(client)
    if when == "later":
        assert await readiness.reason() is None
    await server.ask(*breaks)
    found = await readiness.reason()
    assert found is not None
    assert any(part in found for part in said.split("|")), found
    await server.ask(*mends)
    assert await readiness.reason() is None


async def test_a_server_that_stands_still_is_told_in_time(
    server: Server, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a command that it does not answer fails by itself, and long before a probe of Kubernetes gives up."""
    assert ANSWER_WITHIN_S < 3
    readiness = Readiness(client)
    assert await readiness.reason() is None
    server.freeze()
    monkeypatch.setattr(module, "ANSWER_WITHIN_S", 0.5)
    try:
        for _ in range(2):
            assert await readiness.reason() == "Redis did not answer within 0.5 s"
    finally:
        server.thaw()
    monkeypatch.setattr(module, "ANSWER_WITHIN_S", PATIENCE_S)
    assert await readiness.reason() is None


async def test_a_password_that_is_changed(server: Server, client: Redis) -> None:
    """The server closes no connection for that; who dials again is denied."""
    readiness = Readiness(client)
    await server.ask("ACL", "SETUSER", "relay", ">other", "<secret")
    await client.connection_pool.disconnect()
    assert "rejects the user name or the password" in (await readiness.reason() or "")


async def test_whoever_else_is_asked(client: Redis) -> None:
    wrong: list[str | None] = ["the clock is off", None]

    async def clock() -> str | None:
        return wrong.pop(0)

    readiness = Readiness(client, clock)
    assert [await readiness.reason(), await readiness.reason()] == ["the clock is off", None]


# A server that was demoted keeps its connections open: the relay leaves it, and dials again.


async def ids(redis: Redis) -> set[int]:
    """The server's ids of the connections that it was asked through: as many as are used at once."""
    return set(await asyncio.gather(*(redis.client_id() for _ in range(4))))


@pytest.mark.parametrize("through", ["a command", "a pipeline", "scripts", "one script"])
async def test_a_demoted_server_is_left(server: Server, client: Redis, through: str) -> None:
    await script("read_clock")(client, ["relay:a", "relay:b"], [1])
    before = await ids(client)
    await server.ask("REPLICAOF", "127.0.0.1", "1")
    await server.ask("CONFIG", "SET", "replica-serve-stale-data", "yes")
    with pytest.raises(StoreUnavailable):
        await write(client, through)
    assert not before & await ids(client), "one that only reads would speak to it for ever"
    await server.ask("REPLICAOF", "NO", "ONE")
    await write(client, through)


async def write(client: Redis, through: str) -> None:
    """Write in one of the ways that the relay has."""
    clock, arguments = script("read_clock"), (["relay:a", "relay:b"], [1])
    if through == "a command":
        await client.set("relay:x", "1")
    elif through == "a pipeline":
        async with client.pipeline(transaction=False) as pipe:
            await pipe.get("relay:x").set("relay:x", "1").get("relay:x").execute()  # type: ignore[union-attr]
    elif through == "scripts":
        await run_all(client, [(clock, *arguments), (clock, *arguments)])
    else:
        await clock(client, *arguments)


async def test_the_job_queue_leaves_it_too(server: Server) -> None:
    jobs = connect_jobs(f"redis://127.0.0.1:{server.port}/0")
    before = await jobs.client_id()
    await server.ask("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(Exception, match="replica"):
        await jobs.enqueue_job("poll", "uk")
    await server.ask("REPLICAOF", "NO", "ONE")
    assert await jobs.client_id() != before
    await jobs.enqueue_job("poll", "uk")
    await jobs.aclose()


async def test_notices_go_on_after_a_failover(server: Server, client: Redis) -> None:
    """Whoever listens hears of what is published to the new primary, which tells its replicas."""
    heard = Notices(client).listen()
    assert [await anext(heard), await anext(heard)] == [Expunged(None), Changed()]
    await server.ask("PUBLISH", "relay:wake", "uk")
    assert (await anext(heard)).source == "uk"  # type: ignore[union-attr]
    await heard.aclose()
