"""Background tasks: what replays do, and how far they have come."""

import re
from contextlib import suppress
from typing import Annotated

from litestar import Controller, delete, get
from litestar.di import Provide
from litestar.params import FromPath, QueryParameter
from msgspec.structs import replace

from relay.api.access import Reach, needs
from relay.api.backfills import cancel
from relay.api.dependencies import ClockGiven, PagingGiven, PrincipalGiven, StoresGiven
from relay.api.paging import in_memory, provide_newest_first, read_page
from relay.api.problems import cut
from relay.api.schemas.common import ListOut
from relay.api.schemas.replays import BackgroundTaskOut, TaskKind, TaskStatus, show_erasure, show_task, show_usage
from relay.domain.erasing_task import Task, ended
from relay.domain.model import SourceUid
from relay.domain.principals import Principal, Resource
from relay.domain.streams import posts_of
from relay.errors import Conflict, NotFound
from relay.store.replays import PREFIX, Part
from relay.store.usage import UsageTask
from relay.wiring import Stores

ATTEMPTS = 20
"""To cancel a task while a worker continues it."""
TASK_ID = re.compile(rf"{PREFIX}[0-9A-Za-z]{{27}}")


class BackgroundTaskController(Controller):
    """`/api/v1/background-task`."""

    path = "/background-task"
    tags = ["background-task"]  # noqa: RUF012 - the framework's own attribute
    opt = needs(Resource.MESSAGE, Reach.EVERY)

    @get(
        "/",
        summary="List background tasks",
        dependencies={"paging": Provide(provide_newest_first, sync_to_thread=False)},
    )
    async def list_tasks(
        self,
        principal: PrincipalGiven,
        stores: StoresGiven,
        paging: PagingGiven,
        status: Annotated[TaskStatus | None, QueryParameter(description="Only tasks of this status")] = None,
        task: Annotated[TaskKind | None, QueryParameter(description="Only tasks of this kind")] = None,
    ) -> ListOut[BackgroundTaskOut]:
        """List background tasks, newest first. The relay keeps 100 tasks of a source, for 7 days after they ended."""
        shown = {each: show_task(parts) for each, parts in (await _tasks(stores, principal)).items()}
        shown |= {each.id: show_usage(each) for each in await _usage(stores, principal)}
        shown |= {each.id: show_erasure(each) for each in await _erasures(stores, principal)}
        kept = {each: out for each, out in shown.items() if status in (None, out.status) and task in (None, out.task)}
        return await read_page(in_memory(kept), paging, key=lambda out: out.id, show=lambda out: out, form=TASK_ID)

    @get("/{task_id:str}", summary="Get a background task")
    async def get_task(
        self, task_id: FromPath[str], principal: PrincipalGiven, stores: StoresGiven
    ) -> BackgroundTaskOut:
        """Get the progress of a background task.

        A task is `finished` when all chosen messages are in the queue of the endpoint: `data.waiting` says how many are
        still to be sent.
        """
        for each in await _usage(stores, principal):
            if each.id == task_id:
                return show_usage(each)
        for erasure in await _erasures(stores, principal):
            if erasure.id == task_id:
                return show_erasure(erasure)
        parts = await _parts(stores, principal, task_id)
        endpoint = parts[0].replay.endpoint
        waiting = [await stores.replays.waiting(part.source, endpoint) for part in parts]
        return show_task(parts, waiting=sum(waiting))

    @delete("/{task_id:str}", summary="Cancel a background task")
    async def cancel_task(
        self, task_id: FromPath[str], principal: PrincipalGiven, stores: StoresGiven, clock: ClockGiven
    ) -> None:
        """Cancel a background task and its backfill. The relay still sends the messages that are in the queue already.

        What an erasure has removed stays removed. A task that has ended stays as it is.
        """
        if any(each.id == task_id for each in await _usage(stores, principal)):
            return  # It has ended.
        if any(each.id == task_id for each in await _erasures(stores, principal)):
            await _cancel_erasure(stores, task_id, now_ms=clock.now_ms())
            return
        for source in [part.source for part in await _parts(stores, principal, task_id)]:
            await _cancel(stores, source, task_id, now_ms=clock.now_ms())


async def _cancel(stores: Stores, source: SourceUid, task_id: str, *, now_ms: int) -> None:
    """Cancel a task in a source, also while a worker continues it: each of its steps is another form of the record."""
    for _ in range(ATTEMPTS):
        (part,) = [each for each in await stores.replays.parts([source]) if each.replay.id == task_id]
        if part.replay.phase != "running":
            return
        try:
            cancelled = replace(part.replay, phase="cancelled", updated_ms=now_ms)
            await stores.replays.advance(source, part.replay, cancelled)
        except Conflict:
            continue
        if part.replay.backfills:
            await cancel(stores, source, part.replay.backfills[-1], now_ms=now_ms)
        return
    raise Conflict(f"task {task_id} is changing: repeat the request")


async def _cancel_erasure(stores: Stores, task_id: str, *, now_ms: int) -> None:
    for _ in range(ATTEMPTS):
        task = next((each for each in await stores.erasing_tasks.all() if each.id == task_id), None)
        if task is None or task.phase != "running":
            return
        with suppress(Conflict):
            await stores.erasing_tasks.advance(task, ended(task, "cancelled", now_ms=now_ms))
            # Rows of the person are told again. A worker that has just begun the task leaves this to the next tidying.
            await stores.configuration.announce(await stores.erasures.drop(task_id))
            return
    raise Conflict(f"task {task_id} is changing: repeat the request")


async def _tasks(stores: Stores, principal: Principal) -> dict[str, list[Part]]:
    """The tasks that a principal can see, by their ids, each with its parts."""
    found: dict[str, list[Part]] = {}
    own = principal.application
    posts = [posts_of(own)] if own else await stores.applications.posting()
    for part in await stores.replays.parts([*await stores.sources.uids(), *posts]):
        if own in (None, part.replay.application):
            found.setdefault(part.replay.id, []).append(part)
    return found


async def _usage(stores: Stores, principal: Principal) -> list[UsageTask]:
    """The tasks that aggregated statistics. Only the operator sees them."""
    return await stores.statistics.usage.all() if principal.application is None else []


async def _erasures(stores: Stores, principal: Principal) -> list[Task]:
    """The tasks that erase people. Only the operator sees them."""
    return await stores.erasing_tasks.all() if principal.application is None else []


async def _parts(stores: Stores, principal: Principal, task_id: str) -> list[Part]:
    parts = (await _tasks(stores, principal)).get(task_id)
    if not parts:
        raise NotFound(f"there is no background task {cut(task_id)}")
    return parts
