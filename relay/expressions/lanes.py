"""A lane: one process that evaluates expressions, and the jobs that wait for it."""

import asyncio
from collections import deque
from contextlib import suppress
from typing import NamedTuple

import msgspec

from relay.expressions.process import Answer, Job, encode, read_answers
from relay.processes.pool import Processes, ProcessFailed, Work

MODULE = "relay.expressions.process"
IN_BACKGROUND = "relay.processes.background"
ALLOCATOR = (("MIMALLOC_ARENA_RESERVE", "0"),)
"""jlens's allocator would reserve 1 GiB of addresses at its start, which the limit of memory could not take back."""
MOST_BYTES_AT_ONCE = 1 << 18
STARTING_S = 0.1
"""CPU time that it takes to replace a process."""
MOST_WHILE_RESTING = 16
"""Jobs that are not urgent wait at once while the lane rests."""


class Turn(NamedTuple):
    """A job, and where its answer is waited for."""

    job: Job
    answer: "asyncio.Future[Answer]"
    urgent: bool


class Lane:
    """Jobs are done in the order in which they come, but all urgent ones before the others."""

    def __init__(self, name: str, *, background: bool, at_once: int, share: float = 1.0) -> None:
        """`background`: whether the process works only while nothing else needs the processor.

        `at_once`: how many jobs it gets together, because to hand them over takes as long as a job.
        `share`: how much of the time jobs may take that reach a limit. After one that is not urgent, the lane rests
        from such jobs. Each owner has few urgent ones.
        """
        module, arguments = (IN_BACKGROUND, (MODULE,)) if background else (MODULE, ())
        self.processes = Processes(Work(f"{name} expressions", module, arguments, ALLOCATOR, waits=True), 1)
        self._at_once, self._share = at_once, share
        self._rests_until = 0.0
        self._came = asyncio.Event()
        self._urgent: deque[Turn] = deque()
        self._others: deque[Turn] = deque()
        self._working: asyncio.Task[None] | None = None

    @property
    def is_crowded(self) -> bool:
        """Whether many jobs that are not urgent wait, because others reached a limit."""
        return len(self._others) >= MOST_WHILE_RESTING and asyncio.get_running_loop().time() < self._rests_until

    async def ask(self, job: Job, *, urgent: bool = True) -> Answer:
        """Have a job done. Raises ProcessFailed."""
        turn: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        (self._urgent if urgent else self._others).append(Turn(job, turn, urgent))
        self._came.set()
        if self._working is None:
            self._working = asyncio.create_task(self._work(), name="expressions")
        return await turn

    async def _work(self) -> None:
        try:
            while self._urgent or self._others:
                await self._rest()
                if turns := self._next():
                    await self._do(turns)
        finally:
            self._working = None

    async def _rest(self) -> None:
        """Wait while the lane rests, and nothing is urgent."""
        # A priority is not enough: two processors can share a core, and a process takes caches from others.
        clock = asyncio.get_running_loop().time
        while not self._urgent and (left_s := self._rests_until - clock()) > 0:
            self._came.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._came.wait(), left_s)

    def _took(self, seconds: float, turns: list[Turn]) -> None:
        """Some jobs took so long, and one of them reached a limit."""
        if not all(turn.urgent for turn in turns):
            self._rests_until = asyncio.get_running_loop().time() + seconds * (1 / self._share - 1)

    def _next(self) -> list[Turn]:
        """Some jobs for which somebody still waits."""
        turns: list[Turn] = []
        size = 0
        while len(turns) < self._at_once and size < MOST_BYTES_AT_ONCE and (queue := self._urgent or self._others):
            turn = queue.popleft()
            if not turn.answer.done():
                turns.append(turn)
                size += len(turn.job.data)
        return turns

    async def _do(self, turns: list[Turn]) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with self.processes.free() as process:
                began = clock()
                answers = read_answers(await process.ask(encode([turn.job for turn in turns])))
        except ProcessFailed as error:
            self._took(clock() - began + STARTING_S, turns)
            await self._failed(turns, error)
            return
        except msgspec.MsgspecError as error:
            await self._failed(turns, ProcessFailed(f"its answer cannot be read: {error}"))
            return
        if any(answer.reached_limit for answer in answers):
            self._took(clock() - began, turns)
        for turn, answer in zip(turns, answers, strict=True):
            if not turn.answer.done():
                turn.answer.set_result(answer)

    async def _failed(self, turns: list[Turn], error: ProcessFailed) -> None:
        """Of several jobs, it is not known which one ended the process: each is done alone."""
        if len(turns) > 1:
            for alone in turns:
                await self._do([alone])
            return
        (turn,) = turns
        if not turn.answer.done():
            turn.answer.set_exception(error)
