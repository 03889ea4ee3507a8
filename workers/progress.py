"""What a worker knows of its own progress: whether jobs and deliveries that wait get done."""

import asyncio
import time
from collections.abc import Callable

from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix
from redis.exceptions import RedisError

from relay.domain.progress import Progress
from relay.errors import StoreRefused, StoreUnavailable
from relay.jobs import QUEUE
from relay.pipeline.clock import Clock
from relay.pipeline.dispatch.dispatcher import Dispatcher
from relay.store.routes import Routes
from workers.context import JobCount

LOOK_S = 5.0
WAITED_S = 15.0
"""A job, a source or an exchange that has waited for so long is work that waits."""
WITHIN_S = 60.0
"""Nothing of a kind was done for so long, though such work waited: the worker is not ready."""
LOOKED_AT = 20
"""Jobs that are looked at, the oldest ones. Those that run are among them."""


class Watch:
    """Looks at the work that waits, every five seconds. `trouble` says what does not get done."""

    def __init__(
        self,
        *,
        routes: Routes,
        queue: ArqRedis,
        dispatcher: Dispatcher,
        jobs: JobCount,
        clock: Clock,
        within_s: float = WITHIN_S,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._routes = routes
        self._queue = queue
        self._dispatcher = dispatcher
        self._jobs = jobs
        self._clock = clock
        self._now_s = now_s
        self._of = {name: Progress(now_s(), within_s=within_s) for name in ("ticks", "jobs", "dispatch")}

    async def run(self) -> None:
        """Look until cancelled. While Redis is unavailable, that is the reason, and nothing else is one."""
        while True:
            try:
                await self.look()
            except (StoreUnavailable, StoreRefused, RedisError, OSError):
                for progress in self._of.values():
                    progress.look(waits=False, done=0, now_s=self._now_s())
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Look once. Raises what Redis does."""
        late_ms, sender = self._clock.now_ms() - WAITED_S * 1000, self._dispatcher
        next_ms = await self._routes.next_due_ms()
        # Any tick takes a source that is due, whatever becomes of its job.
        self._look("ticks", waits=next_ms is not None and next_ms < late_ms, done=0)
        self._look("jobs", waits=self._jobs.has_room and await self._job_waits(late_ms), done=self._jobs.begun)
        self._look("dispatch", waits=sender.has_waited(WAITED_S), done=sender.done)

    def trouble(self) -> str | None:
        """What does not get done, in words; None: everything does."""
        now_s = self._now_s()
        stuck_s = {name: progress.stuck_s(now_s) for name, progress in self._of.items()}
        if stuck_s["ticks"]:
            return f"sources are due, and this worker has taken none for {stuck_s['ticks']:.0f} s"
        if stuck_s["jobs"]:
            return f"jobs that poll wait, and this worker has begun none for {stuck_s['jobs']:.0f} s"
        if stuck_s["dispatch"]:
            return f"deliveries wait, and this worker has sent none for {stuck_s['dispatch']:.0f} s"
        return None

    def _look(self, name: str, *, waits: bool, done: int) -> None:
        self._of[name].look(waits=waits, done=done, now_s=self._now_s())

    async def _job_waits(self, late_ms: float) -> bool:
        """Whether a job that should have begun long ago runs nowhere."""
        late = await self._queue.zrangebyscore(QUEUE, "-inf", late_ms, start=0, num=LOOKED_AT)
        async with self._queue.pipeline(transaction=False) as pipe:
            for job in late:
                pipe.exists(in_progress_key_prefix + job.decode())
            return not all(await pipe.execute()) if late else False
