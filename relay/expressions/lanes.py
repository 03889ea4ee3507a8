"""A lane: one process that evaluates expressions, and the jobs that wait for it."""

import asyncio
from collections import deque

import msgspec

from relay.expressions.process import Answer, Job, encode, read_answers
from relay.processes.pool import Processes, ProcessFailed, Work

MODULE = "relay.expressions.process"
IN_BACKGROUND = "relay.processes.background"
ALLOCATOR = (("MIMALLOC_ARENA_RESERVE", "0"),)
"""jlens's allocator would reserve 1 GiB of addresses at its start, which the limit of memory could not take back."""
MOST_BYTES_AT_ONCE = 1 << 18
Turn = tuple[Job, "asyncio.Future[Answer]"]


class Lane:
    """Jobs are done in the order in which they come, but all urgent ones before the others."""

    def __init__(self, name: str, *, background: bool, at_once: int) -> None:
        """`background`: whether the process works only while nothing else needs the processor.

        `at_once`: how many jobs it gets together, because to hand them over takes as long as a job.
        """
        module, arguments = (IN_BACKGROUND, (MODULE,)) if background else (MODULE, ())
        self.processes = Processes(Work(f"{name} expressions", module, arguments, ALLOCATOR, waits=True), 1)
        self._at_once = at_once
        self._urgent: deque[Turn] = deque()
        self._others: deque[Turn] = deque()
        self._working: asyncio.Task[None] | None = None

    async def ask(self, job: Job, *, urgent: bool = True) -> Answer:
        """Have a job done. Raises ProcessFailed."""
        turn: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        (self._urgent if urgent else self._others).append((job, turn))
        if self._working is None:
            self._working = asyncio.create_task(self._work(), name="expressions")
        return await turn

    async def _work(self) -> None:
        try:
            while turns := self._next():
                await self._do(turns)
        finally:
            self._working = None

    def _next(self) -> list[Turn]:
        """Some jobs for which somebody still waits."""
        turns: list[Turn] = []
        size = 0
        while len(turns) < self._at_once and size < MOST_BYTES_AT_ONCE and (queue := self._urgent or self._others):
            job, turn = queue.popleft()
            if not turn.done():
                turns.append((job, turn))
                size += len(job.data)
        return turns

    async def _do(self, turns: list[Turn]) -> None:
        try:
            async with self.processes.free() as process:
                answers = read_answers(await process.ask(encode([job for job, _ in turns])))
        except ProcessFailed as error:
            await self._failed(turns, error)
            return
        except msgspec.MsgspecError as error:
            await self._failed(turns, ProcessFailed(f"its answer cannot be read: {error}"))
            return
        for (_, turn), answer in zip(turns, answers, strict=True):
            if not turn.done():
                turn.set_result(answer)

    async def _failed(self, turns: list[Turn], error: ProcessFailed) -> None:
        """Of several jobs, it is not known which one ended the process: each is done alone."""
        if len(turns) > 1:
            for alone in turns:
                await self._do([alone])
            return
        ((_, turn),) = turns
        if not turn.done():
            turn.set_exception(error)
