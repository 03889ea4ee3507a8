"""The audit log."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from litestar import Controller, get
from litestar.di import Provide
from litestar.params import FromQuery, QueryParameter

from relay.api.access import Reach, needs, own_application
from relay.api.dependencies import PagingGiven, PrincipalGiven, StoresGiven
from relay.api.feeds import Feed, Item, read_feed
from relay.api.paging import provide_newest_first
from relay.api.schemas.audit import AuditEntryOut, show_entry
from relay.api.schemas.common import ListOut, ms
from relay.domain.model import SourceUid
from relay.domain.names import NAME, UID_MOST
from relay.domain.principals import Resource
from relay.store.audit import ALL, Entry, above, edge_at
from relay.wiring import Stores

THE_LOG = SourceUid("audit")
"""The log's name in iterators, where those of lists over several sources have their uids."""
TEXT_MOST = 400

Principal = Annotated[str | None, QueryParameter(name="principal", min_length=1, max_length=TEXT_MOST)]
Object = Annotated[str | None, QueryParameter(name="object", min_length=1, max_length=TEXT_MOST)]
Action = Annotated[str | None, QueryParameter(min_length=1, max_length=TEXT_MOST)]
App = Annotated[
    str | None,
    QueryParameter(min_length=1, max_length=UID_MOST, pattern=NAME, description="Id or uid of an application"),
]


class AuditController(Controller):
    """`/api/v1/audit`. For a key of one application, there are only entries about that application."""

    path = "/audit"
    tags = ["audit"]  # noqa: RUF012 - the framework's own attribute
    opt = needs(Resource.AUDIT, Reach.EVERY)
    dependencies = {"paging": Provide(provide_newest_first, sync_to_thread=False)}  # noqa: RUF012

    @get("/", summary="List the audit log")
    async def list_audit(
        self,
        principal: PrincipalGiven,
        stores: StoresGiven,
        paging: PagingGiven,
        by: Principal = None,
        object_: Object = None,
        action: Action = None,
        app: App = None,
        before: FromQuery[datetime | None] = None,
        after: FromQuery[datetime | None] = None,
    ) -> ListOut[AuditEntryOut]:
        """List the changes that were made through the API, newest first.

        `principal` selects by the id of an API key (or `admin`), `object` by kind and id (`endpoint/ep_…`), and
        `action` by name (`endpoint.update`). A page can be short without being the last: see `done`.
        """
        own = (await own_application(principal, app, stores)).id if app else principal.application
        term = _term(application=own, object_=object_, principal=by, action=action)

        def wanted(entry: Entry) -> bool:
            return (
                by in (None, entry.principal)
                and action in (None, entry.action)
                and own in (None, entry.application)
                and (object_ is None or any(change.object == object_ for change in entry.changes))
            )

        return await read_feed(
            _feed(stores, term),
            [THE_LOG],
            paging,
            show=_show,
            wanted=wanted,
            after_ms=ms(after) if after else None,
            before_ms=ms(before) if before else None,
        )


def _feed(stores: Stores, term: str) -> Feed[str, Entry]:
    async def read(
        source: SourceUid, *, edge: str | None, newer: bool, limit: int
    ) -> Sequence[tuple[str, Entry | None]]:
        del source  # There is one log.
        return await stores.audit.page(term, edge=edge, newer=newer, limit=limit)

    return Feed(read=read, at_ms=lambda entry: entry.at_ms, place=str, bottom="", above=above, edge_at=edge_at)


async def _show(items: list[Item[str, Entry]]) -> list[AuditEntryOut]:
    return [show_entry(item.value) for item in items]


def _term(*, application: str | None, object_: str | None, principal: str | None, action: str | None) -> str:
    """The index to read. That of an application comes first: its keys must meet no entry of another one."""
    terms = {"application": application, "object": object_, "principal": principal, "action": action}
    return next((f"{name}:{value}" for name, value in terms.items() if value), ALL)
