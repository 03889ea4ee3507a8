"""Erasing a person from everything that the relay keeps."""

from litestar import Controller, post
from litestar.params import JSONBody

from relay.api.access import Reach, needs
from relay.api.dependencies import ClockGiven, OnceGiven, StoresGiven
from relay.api.schemas.erasures import ErasureIn
from relay.api.schemas.replays import BackgroundTaskOut, show_erasure
from relay.domain.erasing_task import Task
from relay.domain.model import Application
from relay.domain.principals import Resource
from relay.errors import Conflict, Fault, Invalid, NotFound
from relay.store import journal
from relay.store.identifiers import new_id
from relay.store.journal import Change
from relay.store.replays import PREFIX
from relay.wiring import Stores

MOST_RUNNING = 20
"""Erasures that can run at the same time: each looks through everything."""


class ErasureController(Controller):
    """`/api/v1/erasure`."""

    path = "/erasure"
    tags = ["privacy"]  # noqa: RUF012 - the framework's own attribute
    opt = needs(Resource.MESSAGE, Reach.OPERATOR)

    @post("/", summary="Erase a person", status_code=202)
    async def erase(
        self, data: JSONBody[ErasureIn], stores: StoresGiven, clock: ClockGiven, once: OnceGiven
    ) -> BackgroundTaskOut:
        """Remove a phone number or a visitor from everything that the relay keeps, as a background task.

        Rows that Infinity shows again do not bring the person back. Rows of later calls and visits are new data. Erase
        the person in Infinity, too. With `dryRun`, the task only counts.
        """
        asked = data.asked()
        asked.identity()
        application = None if data.app_id is None else await _application(data.app_id, stores)
        now_ms = clock.now_ms()
        task_id = once.new_id(PREFIX) if once else new_id(PREFIX, now_ms=now_ms)
        journal.current().note(Change(f"background-task/{task_id}"))
        journal.current().application = application.id if application else ""
        await _check_room(stores, task_id, dry_run=data.dry_run)
        task = Task(
            id=task_id,
            sealed=stores.erasing_tasks.sealed(task_id, asked),
            created_ms=now_ms,
            updated_ms=now_ms,
            application=application.id if application else None,
            sources=application.sources if application else None,
            dry_run=data.dry_run,
        )
        return show_erasure(await stores.erasing_tasks.create(task))


async def _application(named: str, stores: Stores) -> Application:
    try:
        return await stores.applications.get(named)
    except NotFound as error:
        raise Invalid(Fault(("body", "appId"), str(error))) from None


async def _check_room(stores: Stores, task_id: str, *, dry_run: bool) -> None:
    running = [each for each in await stores.erasing_tasks.all() if each.phase == "running" and each.id != task_id]
    if len(running) >= MOST_RUNNING:
        raise Conflict(f"{MOST_RUNNING} erasures run: wait until one is finished, or cancel one")
    if not dry_run:
        await stores.erasures.check_room()
