"""What the relay advises of its server: at the start, in the log, each with what to set."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import structlog

from relay.domain.model import Secret
from relay.starting import check_start
from relay.store.advice import Way, advise, of_settings, of_way, takes_anybody
from relay.store.configuration import Configuration
from relay.store.connection import connect
from relay.store.needs import GRANT
from relay.store.seal import Seal
from relay.store.vault import Vault
from tests.fault.server import Server, own_server
from tests.integration.store.servers import PROGRAMS

WELL = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory": "1000000000"}


@pytest.fixture(params=PROGRAMS)
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    async with own_server(program=request.param) as server:
        yield server


async def advised(url: str) -> list[Any]:
    """What is logged."""
    client = connect(url)
    with structlog.testing.capture_logs() as lines:
        await advise(client)
    await client.aclose()
    return lines


async def put(server: Server, settings: Mapping[str, str]) -> None:
    """Set settings of a server."""
    for name, value in settings.items():
        await server.ask("CONFIG", "SET", name, value)


@pytest.mark.parametrize(
    ("setting", "value", "do"),
    [
        ("appendonly", "no", "Set appendonly yes"),
        ("appendfsync", "no", "Set appendfsync everysec"),
        ("maxmemory", "0", "Set maxmemory"),
    ],
)
async def test_a_setting_that_loses_events_is_a_warning(server: Server, setting: str, value: str, do: str) -> None:
    """One line for each, which says what to set. A server that is set up well has none."""
    await put(server, WELL)
    assert await advised(server.url) == []
    await put(server, {setting: value})
    (line,) = await advised(server.url)
    assert (line["event"], line["log_level"], line["setting"]) == ("redis_setting_wrong", "warning", setting)
    assert line["do"].startswith(do)


async def test_a_user_without_config_is_told_what_was_not_checked(server: Server) -> None:
    """INFO shows the rest."""
    await put(server, WELL | {"appendonly": "no", "appendfsync": "no"})
    await server.ask("ACL", "SETUSER", "relay", "on", ">secret", *GRANT.split())
    url = f"redis://relay:secret@127.0.0.1:{server.port}/0"
    wrong, unchecked = await advised(url)
    assert (wrong["event"], wrong["setting"]) == ("redis_setting_wrong", "appendonly")
    assert (unchecked["event"], unchecked["settings"]) == ("redis_settings_unchecked", ["appendfsync"])
    assert "+config|get" in unchecked["do"]
    await server.ask("ACL", "SETUSER", "relay", "+config|get")
    assert [line["event"] for line in await advised(url)] == ["redis_setting_wrong"]


async def test_a_server_that_takes_anybody_is_found_out(server: Server) -> None:
    """Also if the relay itself gives a password."""
    await server.ask("ACL", "SETUSER", "relay", "on", ">secret", *GRANT.split())
    client = connect(f"redis://relay:secret@127.0.0.1:{server.port}/0")
    assert await takes_anybody(client)
    await server.ask("CONFIG", "SET", "requirepass", "secret")
    assert not await takes_anybody(client)
    await client.aclose()


@pytest.mark.parametrize(
    ("way", "settings"),
    [
        (Way(is_local=False, is_encrypted=True, verifies=True, takes_anybody=False), []),
        (Way(is_local=True, is_encrypted=False, verifies=True, takes_anybody=True), []),
        (Way(is_local=False, is_encrypted=False, verifies=True, takes_anybody=True), ["requirepass"]),
        (Way(is_local=False, is_encrypted=True, verifies=False, takes_anybody=False), ["ssl_cert_reqs"]),
    ],
)
def test_the_way_to_a_server(way: Way, settings: list[str]) -> None:
    """A password on this machine is not needed; elsewhere it is, and a certificate is worth nothing unchecked."""
    assert [each.setting for each in of_way(way)] == settings


def test_what_a_server_does_not_tell_is_not_guessed() -> None:
    """Such as managed ones, which hide some settings."""
    assert of_settings({}) == []
    assert of_settings({"appendonly": None, "maxmemory": None}) == []


async def test_the_start_advises(server: Server) -> None:
    """Nothing of it stops the start; for the embedded server it is the relay's own affair."""
    await put(server, WELL | {"maxmemory": "0"})
    client, vault = connect(server.url), Vault([Secret("A" * 43 + "=")])
    seal = Seal(client, vault, Configuration(client, vault))
    for is_embedded, expected in ((False, ["redis_setting_wrong"]), (True, [])):
        with structlog.testing.capture_logs() as lines:
            await check_start(client, seal, is_embedded=is_embedded)
        assert [line["event"] for line in lines] == expected
    await client.aclose()
