"""A pool of child processes: started when they are needed, replaced when they die, ended with this process."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import structlog

from relay.errors import RelayError
from relay.processes.child import LENGTH

log = structlog.get_logger()

COMMAND = (sys.executable, "-P", "-m")
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
"""The parts of this process's environment that a child process gets: no settings, and so no keys."""
LIMITS = frozenset((signal.SIGPROF, signal.SIGXCPU, signal.SIGABRT))
"""The signals by which the limits of relay.processes.limits end a process: its time, and its memory."""
READY_WITHIN_S = 30.0
ANSWER_WITHIN_S = 30.0
"""A job takes milliseconds. A process that takes longer than this is stuck, or the machine is."""
BUFFER_BYTES = 4 << 20
"""An answer has 300 kB, or a few MB if rows are large."""
LONGEST_REST_S = 60.0


@dataclass(frozen=True, slots=True)
class Work:
    """What the processes of a pool do."""

    name: str
    """For the log."""
    module: str
    """Ends with a call of relay.processes.child.run."""
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    """Variables that its processes get, in addition to the inherited ones."""
    waits: bool = False
    """Whether a job waits for the first process to start. Otherwise, the caller has another way to do it."""


class ProcessFailed(RelayError):  # noqa: N818 - named for what it says, like the others
    """No process did the job. `signal` is what ended the process that tried, if that is known."""

    def __init__(self, message: str, by: signal.Signals | None = None) -> None:
        super().__init__(message)
        self.signal = by

    @property
    def reached_limit(self) -> bool:
        """Whether the job took more CPU time or memory than a process may."""
        return self.signal in LIMITS

    @property
    def took_memory(self) -> bool:
        """Whether an allocation failed."""
        return self.signal == signal.SIGABRT


class Process:
    """One child process."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer

    @classmethod
    async def start(cls, work: Work) -> "Process":
        """Start one, and wait until it is ready. Raises ProcessFailed."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                child = _spawn(work, theirs)
            reader, writer = await asyncio.open_connection(sock=ours, limit=BUFFER_BYTES)
        except BaseException as error:
            ours.close()
            if isinstance(error, OSError):
                raise ProcessFailed(f"it could not be started ({error.strerror})") from None
            raise
        process = cls(child, reader, writer)
        try:
            await process._read(READY_WITHIN_S)
        except BaseException:
            await process.end()
            raise
        return process

    @property
    def pid(self) -> int:
        """Its id."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it is known to have died."""
        return self._process.poll() is not None or self._reader.at_eof()

    async def ask(self, job: bytes) -> bytes:
        """Have a job done. Raises ProcessFailed; then the process is of no more use."""
        # uvloop raises a RuntimeError for a transport that is closed.
        if self._writer.is_closing():
            raise await self._ended()
        self._writer.write(LENGTH.pack(len(job)))
        self._writer.write(job)
        return await self._read(ANSWER_WITHIN_S)

    async def _read(self, within_s: float) -> bytes:
        try:
            async with asyncio.timeout(within_s):
                (size,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
                return await self._reader.readexactly(size)
        except TimeoutError:
            raise ProcessFailed(f"it did not answer within {within_s:g} s") from None
        except (asyncio.IncompleteReadError, OSError):
            raise await self._ended() from None

    async def _ended(self) -> ProcessFailed:
        """How it ended, now that its socket is closed."""
        with suppress(subprocess.TimeoutExpired):
            code = await asyncio.to_thread(self._process.wait, 1.0)
            if code < 0:
                by = signal.Signals(-code)
                return ProcessFailed(f"{by.name} ended it", by)
        return ProcessFailed("it ended")

    async def end(self) -> None:
        """Kill it: it keeps nothing."""
        self._process.kill()
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()
        await asyncio.to_thread(self._process.wait)


def _spawn(work: Work, connection: socket.socket) -> "subprocess.Popen[bytes]":
    # Not by the event loop: uvloop leaves copies of its own descriptors open.
    quiet = subprocess.DEVNULL
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    # It imports the relay from where this process did.
    environment |= dict(work.environment)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    # A session of its own: Ctrl-C in a terminal is for this process, which then ends the child.
    return subprocess.Popen(  # noqa: S603 - the command is ours
        (*COMMAND, work.module, *work.arguments),
        stdin=connection.fileno(),
        stdout=quiet,
        stderr=quiet,
        start_new_session=True,
        env=environment,
    )


class Processes:
    """Up to `most` processes. Each is started when all others are busy."""

    def __init__(self, work: Work, most: int) -> None:
        self.most = most
        self._work = work
        self._idle: list[Process] = []
        self._all: set[Process] = set()
        self._endings: set[asyncio.Task[None]] = set()
        self._starting: asyncio.Task[None] | None = None
        self._freed = asyncio.Condition()
        self._failures = 0
        self._not_before = 0.0

    @property
    def pids(self) -> list[int]:
        """The ids of the processes that are ready or busy."""
        return sorted(process.pid for process in self._all)

    @asynccontextmanager
    async def free(self) -> AsyncIterator[Process]:
        """A process that has nothing to do, for one job.

        Raises ProcessFailed: at once if none is ready and jobs do not wait, or if no process could be started lately.
        """
        process = await self._take()
        try:
            yield process
        except BaseException as error:
            # After a cancellation its answer is still to come, so it is of no use for the next job either.
            self._drop(process, error)
            raise
        self._failures = 0
        await self._give_back(process)

    async def _take(self) -> Process:
        while True:
            while self._idle:
                process = self._idle.pop()
                if not process.has_ended:
                    return process
                self._drop(process, ProcessFailed("it ended"))
            if len(self._all) < self.most:
                self._start_one()
            if not self._all and not (self._work.waits and self._starting):
                raise ProcessFailed("none is ready")
            async with self._freed:
                await self._freed.wait()

    async def _give_back(self, process: Process) -> None:
        if process in self._all:
            self._idle.append(process)
        async with self._freed:
            self._freed.notify()

    def _start_one(self) -> None:
        """Start a process in the background, unless one starts or failed a moment ago."""
        if self._starting is None and asyncio.get_running_loop().time() >= self._not_before:
            self._starting = asyncio.create_task(self._start(), name=f"{self._work.name} process")

    async def _start(self) -> None:
        try:
            process = await Process.start(self._work)
        except ProcessFailed as error:
            self._failed(error)
            return
        finally:
            self._starting = None
            await self._wake_all()
        self._all.add(process)
        log.info("child_process_started", work=self._work.name, pid=process.pid)
        await self._give_back(process)

    def _drop(self, process: Process, error: BaseException) -> None:
        self._all.discard(process)
        if isinstance(error, ProcessFailed):
            self._failed(error, pid=process.pid)
        ending = asyncio.create_task(self._end(process))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    async def _end(self, process: Process) -> None:
        await process.end()
        await self._wake_all()

    async def _wake_all(self) -> None:
        # Tasks that wait for a process start another one, or do without.
        async with self._freed:
            self._freed.notify_all()

    def _failed(self, error: ProcessFailed, pid: int | None = None) -> None:
        if not self.most:
            return
        if not error.reached_limit:
            # A job that took too much says nothing about the next one.
            self._failures += 1
        rest_s = min(LONGEST_REST_S, 2.0 ** max(0, self._failures - 1) - 1)
        self._not_before = asyncio.get_running_loop().time() + rest_s
        log.warning("child_process_failed", work=self._work.name, pid=pid, error=str(error), next_in_s=rest_s)

    async def aclose(self) -> None:
        """Kill all processes, and start no more."""
        self.most = 0
        self._idle.clear()
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        for process in tuple(self._all):
            self._drop(process, ProcessFailed("its pool was closed"))
        await asyncio.gather(*self._endings, return_exceptions=True)
