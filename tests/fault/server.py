"""A server of a case's own: it can be killed, frozen, robbed of the end of its file, and started again."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from asyncio.subprocess import DEVNULL, Process
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from relay.cli.demo.ports import free_port
from relay.store.embedded import server_binary

READY_WITHIN_S = 60.0
MARK_EVERY_S = 0.02
MARKS = 1000
"""What is remembered of the file's growth: twenty seconds."""


class Server:
    """One Valkey with an append-only file, at a socket for the relay and at a port for replicas."""

    def __init__(self, folder: Path, *options: str, program: str | None = None) -> None:
        """`options` are further arguments of the server, such as `--maxmemory`, `64mb`.

        `program`: None is that of RELAY_TEST_PROGRAM, or the embedded Valkey.
        """
        self._program = program or os.environ.get("RELAY_TEST_PROGRAM") or server_binary()
        self.folder = folder
        self._options = options
        self._process: Process | None = None
        self._marks: deque[tuple[float, int]] = deque(maxlen=MARKS)
        self._killed_at = 0.0
        self.socket = folder / "own.sock"
        self.port = free_port()

    @property
    def url(self) -> str:
        """Where the relay finds it: the same after each start."""
        return f"unix://{self.socket}"

    async def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Start it on the files that are there, and wait until it has read them, with further environment variables."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command(),
            env={**os.environ, **(environment or {})},
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + READY_WITHIN_S
        while not await self._is_ready():
            if self._process.returncode is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server does not start: {(self.folder / 'server.log').read_text()[-1000:]}")
            await asyncio.sleep(0.02)

    def _command(self) -> list[str]:
        return [
            self._program, "--bind", "127.0.0.1", "--port", str(self.port), "--unixsocket", str(self.socket),
            "--dir", str(self.folder), "--logfile", str(self.folder / "server.log"), "--save", "",
            "--appendonly", "yes", "--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0",
            "--maxmemory-policy", "noeviction", "--repl-diskless-sync-delay", "0", *self._options,
        ]  # fmt: skip

    async def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        self._killed_at = time.monotonic()

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open, and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def cut(self, seconds: float, *, further_bytes: int = 0) -> int:
        """Cut off what a killed server wrote in its last seconds, and some bytes more; gives how many in all.

        With `further_bytes` the file ends in the middle of a command, as it does when the power fails.
        """
        wanted = self._killed_at - seconds
        file = self._file()
        size = file.stat().st_size
        kept = max((at_size for at, at_size in self._marks if at <= wanted), default=0)
        kept = max(0, kept - further_bytes)
        with file.open("r+b") as opened:
            opened.truncate(kept)
        self._marks.clear()
        return size - kept

    async def ask(self, *command: str | int) -> Any:
        """The answer to one command. Raises redis-py's own errors."""
        redis = Redis(unix_socket_path=str(self.socket), socket_timeout=5.0)
        try:
            return await redis.execute_command(*command)  # type: ignore[no-untyped-call]
        finally:
            await redis.aclose()

    async def info(self, section: str) -> dict[str, Any]:
        """What INFO says."""
        found: dict[str, Any] = await self.ask("INFO", section)
        return found

    async def mark(self) -> None:
        """Note how the file grows, until cancelled."""
        while True:
            with suppress(OSError, ValueError):
                self._marks.append((time.monotonic(), self._file().stat().st_size))
            await asyncio.sleep(MARK_EVERY_S)

    async def _is_ready(self) -> bool:
        with suppress(RedisError, OSError):
            return not (await self.info("persistence"))["loading"]
        return False

    def _file(self) -> Path:
        """The file that it appends to: the newest, for a replica that is filled begins another one."""
        files = self.folder.glob("appendonlydir/*.incr.aof")
        return max(files, key=lambda file: int(file.name.split(".")[-3]))


S = TypeVar("S", bound=Server)


@asynccontextmanager
async def own_server(*options: str, program: str | None = None) -> AsyncIterator[Server]:
    """One that runs for as long as the block lasts."""
    async with running(Server, *options, program=program) as server:
        yield server


@asynccontextmanager
async def running(kind: Callable[..., S], *options: str, program: str | None = None) -> AsyncIterator[S]:
    """One of any kind of server."""
    folder = Path(tempfile.mkdtemp(prefix="relay-"))
    server = kind(folder, *options, program=program)
    marking = asyncio.create_task(server.mark())
    try:
        await server.start()
        yield server
    finally:
        marking.cancel()
        with suppress(AssertionError):
            await asyncio.shield(server.kill())
        shutil.rmtree(folder, ignore_errors=True)
