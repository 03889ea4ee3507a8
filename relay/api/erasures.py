"""Erasing a person from everything that the relay keeps."""

from litestar import Controller, delete, get, post
from litestar.di import Provide
from litestar.params import FromPath, JSONBody

from relay.api.access import Reach, needs
from relay.api.background_tasks import TASK_ID
from relay.api.dependencies import ClockGiven, OnceGiven, PagingGiven, PrincipalGiven, StoresGiven
from relay.api.paging import provide_newest_first, read_page
from relay.api.problems import cut
from relay.api.schemas.common import ListOut
from relay.api.schemas.erasures import ErasureIn, ErasureOut, show_kept
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
    opt = needs(Resource.MESSAGE, Reach.OPERATOR, subject="erasure")

    @get("/", summary="List erasures", dependencies={"paging": Provide(provide_newest_first, sync_to_thread=False)})
    async def list_erasures(self, stores: StoresGiven, paging: PagingGiven) -> ListOut[ErasureOut]:
        """List the erasures that keep rows out, newest first. An erasure outlives the background task that began it.

        No field says whom an erasure is about. Erasures with the same `hash` are about the same person.
        """
        return await read_page(stores.erasures.page, paging, key=lambda kept: kept.id, show=show_kept, form=TASK_ID)

    @delete("/{erasure_id:str}", summary="Lift an erasure")
    async def lift(self, erasure_id: FromPath[str], stores: StoresGiven) -> None:
        """Stop keeping out the rows about a person. What was removed stays removed.

        Rows about the person that Infinity shows from then on become messages again, unless another erasure covers
        them. An erasure whose task is running cannot be lifted: cancel the task.
        """
        if any(each.id == erasure_id and each.phase == "running" for each in await stores.erasing_tasks.all()):
            raise Conflict(f"erasure {erasure_id} is running: cancel it with DELETE /background-task/{erasure_id}")
        if not TASK_ID.fullmatch(erasure_id):
            raise NotFound(f"there is no erasure {cut(erasure_id)}")
        await stores.configuration.announce(await stores.erasures.lift(erasure_id))

    @post("/", summary="Erase a person", status_code=202)
    async def erase(
        self,
        data: JSONBody[ErasureIn],
        principal: PrincipalGiven,
        stores: StoresGiven,
        clock: ClockGiven,
        once: OnceGiven,
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
            by=principal.id,
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
