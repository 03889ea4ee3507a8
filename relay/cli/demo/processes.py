"""The demo's processes: real ones, each with a log of its own, all ended whatever happens."""

import asyncio
import contextlib
import os
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx

from relay.errors import RelayError

READY_WITHIN_S = 60.0
ENDS_WITHIN_S = 30.0
Result = TypeVar("Result")


class ChildEnded(RelayError):  # noqa: N818 - named for what happened
    """A process of the demo ended by itself, or did not start. `log` is the end of what it wrote."""

    def __init__(self, message: str, log: Sequence[str]) -> None:
        super().__init__(message)
        self.log = log


@contextlib.asynccontextmanager
async def processes(folder: Path) -> AsyncIterator["Processes"]:
    """Children that log into `folder`, and are gone when the block ends."""
    children = Processes(folder)
    try:
        yield children
    finally:
        await children.stop()


class Processes:
    """`relay …` commands, started one by one and watched together."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: dict[str, Process] = {}

    async def start(self, name: str, *command: str, env: Mapping[str, str], ready: str) -> None:
        """Start `relay {command}` and return when the URL `ready` answers 200. Raises ChildEnded."""
        # What this process was told must not reach them: a stray RELAY_REDIS_URL would be somebody's real one.
        clean = {key: value for key, value in os.environ.items() if not key.startswith("RELAY_")}
        with self._log(name).open("wb") as log:
            self._children[name] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "relay.cli.main", *command,
                env={**clean, **env}, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,  # Ctrl-C is for the demo, which then ends them in order.
            )  # fmt: skip
        await self.during(self._until_ready(name, ready))

    async def during(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do some work, and give it up when a process ends before it does. Raises ChildEnded."""
        working = asyncio.create_task(work)
        watching = [asyncio.create_task(child.wait()) for child in self._children.values()]
        try:
            await asyncio.wait([working, *watching], return_when=asyncio.FIRST_COMPLETED)
            for name, child in self._children.items():
                if child.returncode is not None:
                    raise self._complaint(name)
            return await working
        finally:
            for task in (working, *watching):
                task.cancel()
            await asyncio.gather(working, *watching, return_exceptions=True)

    async def stop(self) -> None:
        """End them, the last started first; who does not listen within 30 s is killed."""
        for child in reversed(self._children.values()):
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
            try:
                async with asyncio.timeout(ENDS_WITHIN_S):
                    await child.wait()
            except TimeoutError:
                child.kill()
                await child.wait()

    async def _until_ready(self, name: str, url: str) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        async with httpx.AsyncClient(trust_env=False) as client:
            while not await _answers(client, url):
                if time.monotonic() > deadline:
                    raise self._complaint(name)
                await asyncio.sleep(0.05)

    def _complaint(self, name: str) -> ChildEnded:
        code = self._children[name].returncode
        what = "did not get ready" if code is None else f"ended with code {code}"
        tail = self._log(name).read_text(errors="replace").splitlines()[-15:]
        return ChildEnded(f"the {name} {what}. {'The end of its log is above' if tail else 'Its log is empty'}", tail)

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == 200
    except httpx.TransportError:
        return False
