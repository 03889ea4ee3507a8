"""The processes of a run: each started with a log of its own, measured by its id, and ended by it whatever happens."""

import asyncio
import os
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

READY_WITHIN_S = 60.0
ENDS_WITHIN_S = 60.0


class ChildFailed(Exception):  # noqa: N818 - named for what happened
    """A process did not start, or ended by itself; the text has the end of its log."""


@dataclass(frozen=True, slots=True)
class Child:
    """One running process."""

    name: str
    process: Process
    log: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def complaint(self) -> ChildFailed:
        """Say what became of it."""
        code = self.process.returncode
        what = "is not ready" if code is None else f"ended with code {code}"
        tail = self.log.read_text(errors="replace").splitlines()[-15:]
        return ChildFailed("\n  ".join([f"{self.name} {what}; the end of its log:", *tail]))

    def check(self) -> None:
        """Raise ChildFailed if it has ended."""
        if self.process.returncode is not None:
            raise self.complaint()

    async def stop(self) -> None:
        """Ask it to end; who does not within ENDS_WITHIN_S is killed."""
        with suppress(ProcessLookupError):
            self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), ENDS_WITHIN_S)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


@asynccontextmanager
async def child(
    name: str,
    *command: str,
    folder: Path,
    ready: Callable[[], Awaitable[bool]] | None = None,
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[Child]:
    """Run a command for as long as the block lasts, which begins when `ready` says so. Raises ChildFailed."""
    # What this process was told must not reach it: a stray RELAY_REDIS_URL would be somebody's real one.
    clean = {key: value for key, value in os.environ.items() if not key.startswith("RELAY_")}
    log = folder / f"{name}.log"
    with log.open("ab") as file:
        # A session of its own: Ctrl-C is for the harness, which then ends everything in order.
        process = await asyncio.create_subprocess_exec(
            *command, env={**clean, **(env or {})}, stdin=DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    running = Child(name, process, log)
    try:
        deadline = time.monotonic() + READY_WITHIN_S
        while ready is not None and not await ready():
            running.check()
            if time.monotonic() > deadline:
                raise running.complaint()
            await asyncio.sleep(0.02)
        yield running
    finally:
        await asyncio.shield(running.stop())


def listens(port: int) -> Callable[[], Awaitable[bool]]:
    """Whether somebody accepts connections at a port of 127.0.0.1."""

    async def answers() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    return answers


def says_ready(port: int) -> Callable[[], Awaitable[bool]]:
    """Whether a process at a port of 127.0.0.1 answers 200 at `/health/ready`."""

    async def answers() -> bool:
        try:
            async with asyncio.timeout(5):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    writer.write(b"GET /health/ready HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n")
                    return (await reader.readline()).startswith(b"HTTP/1.1 200 ")
                finally:
                    writer.close()
        except OSError:
            return False

    return answers
