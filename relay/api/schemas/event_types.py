"""Event types on the wire, in Svix's shapes."""

from datetime import UTC, datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType, field

from relay.api.schemas.checks import Policies
from relay.api.schemas.common import In, Out, ReadOnly, moment
from relay.domain.custom_types import MOST_TYPES, NAME_MOST, CustomType, schemas_fault
from relay.domain.event_schemas import VERSION, schema_of
from relay.domain.event_types import EVENT_TYPES
from relay.domain.names import NAME, name_in_words
from relay.domain.operational_types import TYPES, is_operational
from relay.errors import Fault, Invalid

SINCE = datetime(2026, 11, 1, tzinfo=UTC)
"""When the relay's own types were created: Svix's shape requires a time."""
THINGS = {
    "transaction": "a transaction",
    "goal": "a goal",
    "call": "a call",
    "call_user": "a user of the telephone system on a call",
    "visit": "a visit",
    "touch_point": "a touch point (a landing, a call or a goal)",
    "trigger": "any row",
    "call_charge": "an itemised charge for a call",
}
FLAGS_MOST = 20


def check_schemas(value: dict[str, Any], path: tuple[str | int, ...], _: Policies) -> None:
    """Raise Invalid for schemas that are too large."""
    if (why := schemas_fault(value)) is not None:
        raise Invalid(Fault(path, why))


def _name(what: str) -> Meta:
    form = name_in_words(NAME_MOST)
    return Meta(min_length=1, max_length=NAME_MOST, pattern=NAME, description=what, extra={"form": form})


TypeName = Annotated[str, _name("The name of an event type")]
Flag = Annotated[str, _name("A word for your own use")]
Flags = Annotated[list[Flag], Meta(max_length=FLAGS_MOST)]
Group = Annotated[str, _name("The name of a group of event types")]
Description = Annotated[str, Meta(max_length=4096)]
Version = Annotated[str, Meta(min_length=1, max_length=64)]
Schema = Annotated[dict[str, Any], Meta(description="A JSON Schema")]
Schemas = Annotated[dict[Version, Schema], Meta(extra={"check": check_schemas})]


class _Changes(In, frozen=True, kw_only=True):
    archived: bool | UnsetType = UNSET
    """Whether the type is archived: endpoints that select it keep it, others cannot select it. Default: false."""
    deprecated: bool | UnsetType = UNSET
    """Whether the type is deprecated. For your own use. Default: false."""
    schemas: Schemas | UnsetType | None = UNSET
    """JSON Schemas of the payloads, by version, such as `{"1": {…}}`: at most 50 versions and 32 KiB. The relay checks
    no message against them. null: none."""
    group_name: Group | UnsetType | None = UNSET
    """The group of the type. null: none."""
    feature_flags: Flags | UnsetType | None = UNSET
    """For your own use. null: none."""
    feature_flag: Flag | UnsetType | None = UNSET
    """The old form of `featureFlags`, with one flag. `featureFlags` applies if you send both."""


class EventTypeIn(_Changes, frozen=True, kw_only=True):
    """A new event type."""

    name: TypeName
    """The name, such as `invoice.paid`. It cannot be one of the relay's own."""
    description: Description
    """What happened when an event has this type."""


class EventTypeUpsertIn(_Changes, frozen=True, kw_only=True):
    """An event type to create or to replace. Fields that you omit get their defaults."""

    name: TypeName | UnsetType = UNSET
    """Read-only: a request can send it back, if it is the name in the path."""
    description: Description
    """What happened when an event has this type."""
    created_at: ReadOnly | UnsetType = UNSET
    updated_at: ReadOnly | UnsetType = UNSET


class EventTypeItem(_Changes, frozen=True, kw_only=True):
    """An event type to import. Fields that you omit get their defaults."""

    name: TypeName
    """The name, such as `invoice.paid`. It cannot be one of the relay's own."""
    description: Description
    """What happened when an event has this type."""
    created_at: ReadOnly | UnsetType = UNSET
    updated_at: ReadOnly | UnsetType = UNSET


class _Import(In, frozen=True, kw_only=True):
    dry_run: bool | UnsetType = UNSET
    """Whether to only return what would change. Default: false."""
    replace_all: bool | UnsetType = UNSET
    """Whether to archive the types that you created and that are not in the import. Default: false."""


class OpenApiImportIn(_Import, frozen=True, kw_only=True):
    """An OpenAPI document whose webhooks to import. Send either `spec` or `specRaw`."""

    spec: dict[str, Any] | UnsetType | None = UNSET
    """The document, as an object."""
    spec_raw: str | UnsetType | None = UNSET
    """The document, as a text in JSON, or in YAML of at most 262,144 characters."""


class SvixImportIn(_Import, frozen=True, kw_only=True):
    """Event types to import, as Svix exports and lists them."""

    event_types: Annotated[list[EventTypeItem], Meta(max_length=MOST_TYPES)]
    """The types."""


class ImportedTypeOut(Out, frozen=True, kw_only=True):
    """An event type that an import would write."""

    name: str
    """The name."""
    description: str
    """What happened when an event has this type."""
    schemas: dict[str, Any] | None
    """JSON Schemas of the payloads, by version. null: none."""
    deprecated: bool
    """Whether the type is deprecated."""
    archived: bool
    """Whether the type would be archived."""
    group_name: str | None
    """The group of the type. null: none."""
    feature_flags: list[str] | None
    """For your own use. null: none."""


class ImportDataOut(Out, frozen=True, kw_only=True):
    """What an import did."""

    modified: list[str]
    """The names of the types that were created, changed or archived. Empty with `dryRun`."""
    to_modify: list[ImportedTypeOut] | None = field(default=None, name="to_modify")
    """With `dryRun`, the types that would be created, changed or archived, as they would be. Otherwise null."""


class ImportOut(Out, frozen=True, kw_only=True):
    """The result of an import."""

    data: ImportDataOut
    """What it did."""


class EventTypePatch(_Changes, frozen=True, kw_only=True):
    """Changes of an event type. Fields that you omit stay."""

    name: TypeName | UnsetType = UNSET
    """Read-only: a request can send it back, if it is the name in the path."""
    description: Description | UnsetType = UNSET
    """What happened when an event has this type."""
    created_at: ReadOnly | UnsetType = UNSET
    updated_at: ReadOnly | UnsetType = UNSET


class EventTypeOut(Out, frozen=True, kw_only=True):
    """An event type."""

    name: str
    """The name, such as `call.created`."""
    description: str
    """What happened when an event has this type."""
    group_name: str | None
    """The group of the type. Of the relay's own types, the part of the name before the dot. null: none."""
    archived: bool = False
    """Whether the type is archived: endpoints that select it keep it, others cannot select it."""
    deprecated: bool = False
    """Whether the type is deprecated."""
    feature_flag: str | None = None
    """The old form of `featureFlags`: the first of them. null: none."""
    feature_flags: list[str] | None = None
    """For your own use. null: none."""
    schemas: dict[str, Any] | None = None
    """JSON Schemas of the bodies of callbacks, by version. null: none, or a list without `with_content=true`."""
    created_at: datetime = SINCE
    """When the type was created."""
    updated_at: datetime = SINCE
    """When the type last changed."""


def show_own(name: str, *, with_content: bool) -> EventTypeOut:
    """One of the relay's own types as responses show it."""
    group, _, change = name.partition(".")
    if is_operational(name):
        description = TYPES[name].description
    else:
        happened = "appeared, or a row became one" if change == "created" else "changed"
        description = f"{THINGS[group].capitalize()} {happened}."
    return EventTypeOut(
        name=name,
        group_name=group,
        description=description,
        schemas={VERSION: schema_of(name)} if with_content else None,
    )


def show_custom(custom: CustomType, *, with_content: bool) -> EventTypeOut:
    """A type that a customer created as responses show it."""
    flags = list(custom.feature_flags)
    return EventTypeOut(
        name=custom.name,
        description=custom.description,
        group_name=custom.group_name,
        archived=custom.archived,
        deprecated=custom.deprecated,
        feature_flag=flags[0] if flags else None,
        feature_flags=flags or None,
        schemas=custom.schemas if with_content else None,
        created_at=moment(custom.created_at_ms),
        updated_at=moment(custom.updated_at_ms),
    )


def show_imported(custom: CustomType) -> ImportedTypeOut:
    """A type that an import would write."""
    return ImportedTypeOut(
        name=custom.name,
        description=custom.description,
        schemas=custom.schemas,
        deprecated=custom.deprecated,
        archived=custom.archived,
        group_name=custom.group_name,
        feature_flags=list(custom.feature_flags) or None,
    )


OWN = tuple(sorted(EVENT_TYPES))
"""The names of the relay's own types, in the order of lists."""
