"""Imports of event types: from the webhooks of an OpenAPI document, and in Svix's shape."""

from collections.abc import Callable, Iterable

from litestar import Controller, post
from litestar.params import JSONBody

from relay.api.access import Reach, needs
from relay.api.asked import raise_for
from relay.api.dependencies import ClockGiven, StoresGiven
from relay.api.schemas.event_types import (
    ImportDataOut,
    ImportOut,
    OpenApiImportIn,
    SvixImportIn,
    show_imported,
)
from relay.api.typing_events import imported, item_faults, new_type, replaced, to_change
from relay.api.yaml_text import read_object
from relay.domain.custom_types import CustomType
from relay.domain.openapi_webhooks import webhooks_of
from relay.domain.principals import Resource
from relay.errors import Fault, Invalid
from relay.store.event_types import EventTypes

Make = Callable[[CustomType | None], CustomType]
"""From the stored type (None: there is none) to the one that the import wants."""


class EventTypeImportController(Controller):
    """`/api/v1/event-type/import`."""

    path = "/event-type/import"
    tags = ["event type"]  # noqa: RUF012 - the framework's own attribute
    opt = needs(Resource.EVENT_TYPE, Reach.OPERATOR)

    @post("/openapi", summary="Import event types from an OpenAPI document", status_code=200)
    async def import_openapi(
        self, data: JSONBody[OpenApiImportIn], stores: StoresGiven, clock: ClockGiven
    ) -> ImportOut:
        """Create, replace and unarchive the event types that the webhooks of an OpenAPI document name.

        The key of a webhook in `webhooks` or `x-webhooks` is the name of the type. The operation has the description
        (or the summary), `deprecated`, the group (its first tag) and the schema of the body.
        """
        given = [name for name, value in (("spec", data.spec), ("specRaw", data.spec_raw)) if value]
        if len(given) != 1:
            raise Invalid(Fault(("body", "spec"), "is required, or `specRaw`: send one of them"))
        path = ("body", given[0])
        document = data.spec if isinstance(data.spec, dict) and data.spec else await read_object(_text(data), path)
        try:
            webhooks = webhooks_of(document)
        except Invalid as error:
            raise Invalid(*(Fault((*path, *each.path), each.message, each.kind) for each in error.faults)) from None
        now_ms = clock.now_ms()
        makes: dict[str, Make] = {
            each.name: lambda old, each=each: imported(each, old, now_ms=now_ms)  # type: ignore[misc]
            for each in webhooks
        }
        return await _import(stores.event_types, makes, data, now_ms=now_ms)

    @post("/svix", summary="Import event types from Svix", status_code=200)
    async def import_svix(self, data: JSONBody[SvixImportIn], stores: StoresGiven, clock: ClockGiven) -> ImportOut:
        """Create and replace event types that another installation exported or listed, in Svix's shape."""
        raise_for(item_faults(data.event_types))
        now_ms = clock.now_ms()
        makes: dict[str, Make] = {
            item.name: lambda old, item=item: (  # type: ignore[misc]
                new_type(item.name, item, now_ms=now_ms) if old is None else replaced(old, item, now_ms=now_ms)
            )
            for item in data.event_types
        }
        return await _import(stores.event_types, makes, data, now_ms=now_ms)


def _text(data: OpenApiImportIn) -> str:
    return data.spec_raw if isinstance(data.spec_raw, str) else ""


async def _import(
    types: EventTypes, makes: dict[str, Make], data: OpenApiImportIn | SvixImportIn, *, now_ms: int
) -> ImportOut:
    """Write what differs, type by type: an import that fails half way can be sent again."""
    replace_all = data.replace_all is True
    stored = await types.stored(None if replace_all else makes)
    wanted = [make(stored.get(name)) for name, make in makes.items()]
    changes = list(to_change(wanted, stored, replace_all=replace_all, now_ms=now_ms))
    await types.check_room(sum(each.name not in stored for each in changes))
    if data.dry_run is True:
        return ImportOut(data=ImportDataOut(modified=[], to_modify=[show_imported(each) for each in changes]))
    for each in changes:
        await types.put(each.name, lambda _, each=each: each)  # type: ignore[misc]
    return ImportOut(data=ImportDataOut(modified=_names(changes)))


def _names(changes: Iterable[CustomType]) -> list[str]:
    return sorted(each.name for each in changes)
