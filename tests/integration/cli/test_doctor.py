"""`relay doctor` says whether a worker can start, what to change in Redis, and how many requests Infinity will get."""

import base64
import subprocess
import sys

import pytest

from tests.fault.server import own_server

ENV = {
    "PATH": "/usr/bin:/bin",
    "RELAY_ADMIN_KEY": "a-key-for-this-test-alone",
    "RELAY_ENCRYPTION_KEY": base64.b64encode(bytes(32)).decode(),
}


def doctor(*options: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run it as an operator does."""
    command = [sys.executable, "-m", "relay.cli.main", "doctor", *options]
    return subprocess.run(command, env=ENV | settings, capture_output=True, text=True, timeout=60, check=False)


async def test_what_is_wrong_is_said_with_what_to_do() -> None:
    """A server that a worker can use is described, and one that it cannot use is exit code 1."""
    async with own_server() as server:
        url = f"redis://127.0.0.1:{server.port}"
        await server.ask("CONFIG", "SET", "maxmemory", 0)
        done = doctor(RELAY_REDIS_URL=url, RELAY_READING_REQUESTS_PER_HOUR="300")
        assert done.returncode == 0, done.stderr
        assert "everything that a worker needs is there" in done.stdout
        assert "Set maxmemory below the memory of the server" in done.stdout
        assert "budget: 300 requests an hour and source" in done.stdout
        await server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        done = doctor(RELAY_REDIS_URL=url)
        assert (done.returncode, done.stderr) == (1, "")
        assert "a worker cannot start" in done.stdout
        assert "noeviction" in done.stdout
        assert "correct this, and run relay doctor again" in done.stdout
        await server.ask("CONFIG", "SET", "requirepass", "a-password")
        done = doctor(RELAY_REDIS_URL=url)
        assert "correct the user name and the password in RELAY_REDIS_URL" in done.stdout
    done = doctor(RELAY_REDIS_URL=url)
    assert done.returncode == 1
    assert "a worker cannot start" in done.stdout
    assert "check that Redis runs, and RELAY_REDIS_URL" in done.stdout


async def test_a_server_that_takes_no_writes_is_a_fault() -> None:
    """It answers, and holds everything, but a worker could neither poll nor send."""
    async with own_server() as server:
        url = f"redis://127.0.0.1:{server.port}"
        await server.ask("CONFIG", "SET", "maxmemory", 100_000)
        done = doctor("--offline", RELAY_REDIS_URL=url)
        assert done.returncode == 1
        assert "of maxmemory is used, and no source is polled from 80%" in done.stdout
        assert "raise maxmemory" in done.stdout
        await server.ask("CONFIG", "SET", "maxmemory", 0)
        await server.ask("REPLICAOF", "127.0.0.1", 1)
        done = doctor("--offline", RELAY_REDIS_URL=url)
        assert done.returncode == 1
        assert "the server is a replica" in done.stdout
        assert "set RELAY_REDIS_URL to the primary" in done.stdout


async def test_a_queue_that_does_not_answer_is_a_fault() -> None:
    """Redis itself can be well while nothing is polled."""
    async with own_server() as server:
        urls = {"RELAY_REDIS_URL": f"redis://127.0.0.1:{server.port}"}
        async with own_server() as queue:
            urls["RELAY_QUEUE_REDIS_URL"] = f"redis://127.0.0.1:{queue.port}"
            assert "Redis of the queue: it answers" in doctor(**urls).stdout
        done = doctor(**urls)
        assert done.returncode == 1
        assert "nothing is polled" in done.stdout
        assert "check that this Redis runs, and RELAY_QUEUE_REDIS_URL" in done.stdout


@pytest.mark.parametrize("name", ["RELAY_ADMIN_KEY", "RELAY_ENCRYPTION_KEY"])
def test_wrong_settings_are_listed(name: str) -> None:
    """As by the services themselves, with exit code 2."""
    done = doctor(**{name: ""})
    assert done.returncode == 2
    assert f"{name} is required" in done.stderr
