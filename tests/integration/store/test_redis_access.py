"""Redis as it is deployed: with a password, a user, TLS, a socket, a database; in both wire protocols."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from relay.errors import StoreDenied, StoreRefused, StoreUnavailable
from relay.jobs import QUEUE, connect_jobs
from relay.jobs import poll as enqueue
from relay.store import keys
from relay.store.connection import connect, ping
from relay.store.needs import GRANT, unmet_needs
from relay.store.scripts import script
from tests.fault.server import Server, own_server
from tests.integration.store.floor import UK
from tests.integration.store.servers import PROGRAMS, tls_in_front_of

PASSWORDS = ["plain", "p@ss:w/rd#1?%41 &+=é\"'{}"]
PROTOCOLS = ["", "protocol=2", "protocol=3"]


@pytest.fixture(params=PROGRAMS)
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    async with own_server(program=request.param) as server:
        yield server


async def works(url: str) -> None:
    """Commands, scripts, pipelines and notices work, and so does arq."""
    client = connect(url)
    try:
        await client.set("relay:text", "1")
        assert await client.get("relay:text") == b"1"
        assert (await script("read_clock")(client, [keys.CLOCK, keys.CONDITIONS], [1000]))[2] == 0
        assert await unmet_needs(client) == []
    finally:
        await client.aclose()
    jobs = connect_jobs(url)
    try:
        await enqueue(jobs, UK, tick=1)
        assert len(await jobs.queued_jobs()) == 1
        await jobs.delete(QUEUE, *(await jobs.keys("arq:*")))
    finally:
        await jobs.aclose()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("password", PASSWORDS, ids=["plain", "special characters"])
async def test_a_password(server: Server, password: str, protocol: str) -> None:
    """Over TCP and over a socket in the file system."""
    await server.ask("CONFIG", "SET", "requirepass", password)
    for user in ("", "default"):
        credentials = f"{user}:{quote(password, safe='')}"
        await works(f"redis://{credentials}@127.0.0.1:{server.port}/0?{protocol}")
        await works(f"unix://{credentials}@{server.socket}?db=0&{protocol}")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("user", "password"), [("relay", PASSWORDS[0]), ("r:e@l/a%y", PASSWORDS[1])])
async def test_a_user_with_the_documented_rights(server: Server, user: str, password: str, protocol: str) -> None:
    await server.ask("ACL", "SETUSER", user, "on", f">{password}", *GRANT.split())
    await server.ask("ACL", "SETUSER", "relay-tests", "on", ">tests", "~*", "+@all")
    await server.ask("ACL", "LOG", "RESET")
    credentials = f"{quote(user, safe='')}:{quote(password, safe='')}"
    url = f"redis://{credentials}@127.0.0.1:{server.port}/0?{protocol}"
    client = connect(url)
    try:
        await ping(client)
        assert await unmet_needs(client) == []
    finally:
        await client.aclose()
    jobs = connect_jobs(url)
    try:
        await enqueue(jobs, UK, tick=1)
    finally:
        await jobs.aclose()
    assert await server.ask("ACL", "LOG") == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_another_database(server: Server, protocol: str) -> None:
    await works(f"redis://127.0.0.1:{server.port}/7?{protocol}")
    assert b"db7" in str(await server.info("keyspace")).encode()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_tls_with_a_private_authority(server: Server, protocol: str, tmp_path: Path) -> None:
    """Its certificate is checked: without the authority's there is no connection."""
    await server.ask("CONFIG", "SET", "requirepass", "p@ss")
    async with tls_in_front_of(server.port, tmp_path) as (port, authority):
        url = f"rediss://:p%40ss@localhost:{port}/0"
        await works(f"{url}?ssl_ca_certs={authority}&{protocol}")
        stranger = connect(f"{url}?{protocol}")
        with pytest.raises(StoreUnavailable, match="certificate"):
            await ping(stranger)
        await stranger.aclose()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("credentials", ["", ":wrong@", "nobody:wrong@"])
async def test_who_is_denied_is_told_so(server: Server, credentials: str, protocol: str) -> None:
    """And never by quoting the password."""
    await server.ask("CONFIG", "SET", "requirepass", "right")
    for url in (f"redis://{credentials}127.0.0.1:{server.port}/0?", f"unix://{credentials}{server.socket}?"):
        client = connect(url + protocol)
        with pytest.raises(StoreDenied, match="user name or the password") as denied:
            await ping(client)
        with pytest.raises(StoreDenied):
            async with client.pipeline(transaction=False) as pipe:
                await pipe.get("relay:x").execute()
        await client.aclose()
        assert "wrong" not in str(denied.value)


async def test_a_database_that_is_not_there(server: Server) -> None:
    for url in (f"redis://127.0.0.1:{server.port}/99999", f"unix://{server.socket}?db=99999"):
        client = connect(url)
        with pytest.raises(StoreRefused, match="DB index is out of range"):
            await ping(client)
        await client.aclose()
