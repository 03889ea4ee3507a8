"""Erasing at work: a person is removed from all that is kept, in turns, and rows do not bring the person back."""

import asyncio

import structlog
from msgspec.structs import replace

from relay.domain.erasing import Sought
from relay.domain.erasing_task import ROUNDS, Task, after_round, after_step, begun, counted, ended
from relay.domain.erasures import erasure_of
from relay.domain.model import SourceUid
from relay.domain.streams import posts_of
from relay.errors import Conflict, Invalid, StoreUnavailable, Unreadable
from relay.store.applications import Applications
from relay.store.audit import Audit
from relay.store.chores import Chores
from relay.store.configuration import Configuration
from relay.store.erasing import Erasing
from relay.store.erasing_tasks import ErasingTasks
from relay.store.erasures import Erasures
from relay.store.server import Server

log = structlog.get_logger()

EVERY_S = 1.0
"""How often tasks that run are continued, by one of the workers."""
LOOK_S = 0.5
IDLE_S = 2.0
"""How often a worker looks for tasks while it knows of none."""
TIDY_S = 60.0
TURN_S = 0.5
"""How long a turn works before it is written down how far it came. The rest of the second is for other work."""
BUCKETS_AT_ONCE = 10


class ErasingTurns:
    """Continues tasks. Two workers may do so at once: what one of them does twice is harmless."""

    def __init__(
        self,
        *,
        tasks: ErasingTasks,
        erasures: Erasures,
        erasing: Erasing,
        audit: Audit,
        configuration: Configuration,
        applications: Applications,
        server: Server,
        chores: Chores,
        settle_s: float,
        keep_s: float,
    ) -> None:
        """`settle_s`: how long after the first round everything that was under way has ended. `keep_s`: how long the
        hashes of somebody who was erased are kept."""
        self._tasks = tasks
        self._erasures = erasures
        self._erasing = erasing
        self._audit = audit
        self._configuration = configuration
        self._applications = applications
        self._server = server
        self._chores = chores
        self._settle_ms = round(settle_s * 1000)
        self._keep_ms = round(keep_s * 1000)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            runs = False
            try:
                if await self._chores.take("erasing", seconds=EVERY_S):
                    runs = await self.turn()
                if await self._chores.take("tidy_erasures", seconds=TIDY_S):
                    await self.tidy()
            except StoreUnavailable as error:
                log.warning("erasing_interrupted", error=str(error))
            except Exception as error:  # noqa: BLE001 - a round that fails must not end the worker, nor the next round
                log.error("erasing_failed", error=type(error).__name__, do="see docs/runbook.md")
            await asyncio.sleep(LOOK_S if runs else IDLE_S)

    async def turn(self) -> bool:
        """Continue each task by a turn; says whether any of them runs."""
        running = [task for task in await self._tasks.all() if task.phase == "running"]
        for task in running:
            try:
                await self._tasks.advance(task, await self._continued(task))
            except Conflict:
                continue  # It was cancelled, or another worker continued it.
            except StoreUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - what is damaged in one stream must not keep others from theirs
                # Not the text of the error: it could quote what was being erased.
                log.error("erasing_failed", task=task.id, error=type(error).__name__, do="see docs/runbook.md")
        return bool(running)

    async def tidy(self) -> None:
        """Forget old tasks, the hashes that were kept long enough, and those of tasks that were cancelled."""
        now_ms = await self._server.now_ms()
        cancelled = {task.id for task in await self._tasks.all() if task.phase == "cancelled"}
        for each in await self._erasures.all():
            if each.id in cancelled or each.until_ms < now_ms - self._keep_ms:
                await self._configuration.announce(await self._erasures.drop(each.id))
        await self._erasures.seal_again()
        await self._tasks.trim(now_ms=now_ms)

    async def _continued(self, task: Task) -> Task:
        now_ms = await self._server.now_ms()
        if now_ms < task.waits_ms:
            return task
        try:
            identity = self._tasks.opened(task).identity()
        except (Unreadable, Invalid):
            reason = "RELAY_ENCRYPTION_KEY cannot open who is to be erased: ask for it again"
            return ended(task, "failed", now_ms=now_ms, error=reason)
        sought, loop = Sought(identity, task.created_ms, task.dry_run), asyncio.get_running_loop()
        end = loop.time() + TURN_S
        while task.phase == "running" and task.waits_ms <= now_ms and loop.time() < end:
            task = await self._step(task, sought, now_ms)
        return replace(task, updated_ms=now_ms)

    async def _step(self, task: Task, sought: Sought, now_ms: int) -> Task:
        """Do the next of what is left."""
        if task.step == "done":
            if not task.stream and not task.round and not task.dry_run:
                await self._keep_out(task, sought)
            streams = await self._streams(task)
            if left := [stream for stream in streams if stream > task.stream]:
                return begun(task, left[0], len(streams))
            return await self._round_done(task, sought, now_ms)
        if task.step == "lines":
            lines = await self._erasing.from_lines(task.stream, sought)
            return after_step(counted(task, "lines", lines))
        buckets = [each for each in await self._buckets(task) if each >= task.bucket]
        for bucket in buckets[:BUCKETS_AT_ONCE]:
            task = replace(await self._from_bucket(task, bucket, sought), bucket=bucket + 1)
        return task if len(buckets) > BUCKETS_AT_ONCE else after_step(task)

    async def _keep_out(self, task: Task, sought: Sought) -> None:
        """Have rows not bring the person back, from before the first look on. It can be done again."""
        key = await self._erasures.key()
        kept = erasure_of(sought.identity, task.id, key=key, until_ms=sought.until_ms, sources=task.sources, by=task.by)
        await self._erasures.keep(kept)
        # A page that was compared before this is refused, and compared again.
        version = await self._configuration.version()
        await self._configuration.announce(version, await self._configuration.source_uids(), matched=version)

    async def _round_done(self, task: Task, sought: Sought, now_ms: int) -> Task:
        task = counted(task, "entries", await self._audit.erase(sought.identity, dry_run=sought.dry_run))
        if task.dry_run or task.round + 1 >= ROUNDS:
            if not task.dry_run:
                await self._configuration.announce(await self._erasures.note_found(task.id, task.found))
            log.info("erasing_finished", task=task.id, dry_run=task.dry_run, events=task.found.events)
            return ended(task, "finished", now_ms=now_ms)
        return after_round(task, waits_ms=await self._server.now_ms() + self._settle_ms)

    async def _streams(self, task: Task) -> list[SourceUid]:
        own = task.application
        posts = await self._applications.posting() if own is None else [posts_of(own)]
        return sorted([*(await self._configuration.source_uids() if task.sources is None else task.sources), *posts])

    async def _buckets(self, task: Task) -> list[int]:
        if task.step == "events":
            return await self._erasing.buckets(task.stream)
        of_past = task.step == "past"
        return await (self._erasing.past_buckets if of_past else self._erasing.attempt_buckets)(task.stream)

    async def _from_bucket(self, task: Task, bucket: int, sought: Sought) -> Task:
        if task.step == "events":
            events, attempts = await self._erasing.from_events(task.stream, bucket, sought)
            return counted(counted(task, "events", events), "attempts", attempts)
        if task.step == "past":
            return counted(task, "past", await self._erasing.from_past(task.stream, bucket, sought))
        return counted(task, "attempts", await self._erasing.from_attempts(task.stream, bucket, sought))
