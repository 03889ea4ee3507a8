"""Transformations on the wire: in Svix's shape, and their dry runs."""

from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from relay.api.schemas.checks import Path, Policies
from relay.api.schemas.common import FilterIn, In, Out, moment
from relay.api.schemas.endpoint_fields import TypeName
from relay.api.schemas.requests import Expression, Variables
from relay.domain.model import Endpoint
from relay.domain.requests.model import Method
from relay.domain.wanting import Setting
from relay.errors import Fault, Invalid


class TransformationPatch(In, frozen=True, kw_only=True):
    """Changes of a transformation. Fields that you omit stay."""

    code: Expression | UnsetType | None = UNSET
    """A JSONata expression over the event: see `transformation` of the endpoint. null: none."""
    enabled: bool | UnsetType | None = UNSET
    """Whether the transformation is applied. null has no effect."""
    variables: Variables | UnsetType | None = UNSET
    """Texts that expressions read as `$variables`. null: none."""


class TransformationOut(Out, frozen=True, kw_only=True):
    """The transformation of an endpoint."""

    code: str | None
    """A JSONata expression over the event. null: none."""
    enabled: bool
    """Whether the transformation is applied. false if there is none."""
    variables: dict[str, str]
    """Texts that expressions read as `$variables`."""
    updated_at: datetime
    """When the endpoint last changed."""


class DryRunIn(In, frozen=True, kw_only=True):
    """What to transform. Send one of `row`, `message` and `eventType`, or none for the example of `call.created`."""

    transformation: Expression | UnsetType | None = UNSET
    """The expression to try. null: none, so the event is sent as it is. Omit it to try the endpoint's own."""
    filter: FilterIn | UnsetType | None = UNSET
    """The filter to try: `unwanted` says whether it keeps the event from the endpoint. null: none. Omit it to try the
    endpoint's own."""
    row: dict[str, Any] | UnsetType = UNSET
    """A row as the reports API shows it."""
    message: Annotated[str, Meta(min_length=1, max_length=256)] | UnsetType = UNSET
    """The id of a message that the relay keeps, or the `eventId` of a posted one."""
    event_type: TypeName | UnsetType = UNSET
    """An event type, whose example is taken."""
    lookup: Any = None
    """The result of the lookup: `$lookup`. A dry run makes no requests. null: no match."""
    captured: Any = None
    """What was captured from an earlier event of the row: `$captured`. null: nothing."""

    @staticmethod
    def check(value: dict[str, Any], path: Path, _: Policies) -> None:
        """Raise Invalid for more than one event."""
        chosen = [name for name in ("row", "message", "eventType") if name in value]
        if len(chosen) > 1:
            raise Invalid(Fault((*path, chosen[1]), f"must be omitted: `{chosen[0]}` says which event is meant"))


class DryRunErrorOut(Out, frozen=True, kw_only=True):
    """Why there is no request."""

    expression: str | None
    """The field whose expression failed. null: no expression is at fault."""
    message: str
    """What is wrong."""
    position: int | None
    """The character of the expression at which the problem begins, from 0. null: it is not known."""


class DryRunOut(Out, frozen=True, kw_only=True):
    """The request that the relay would send."""

    skipped: bool
    """Whether the event would not be sent, because the transformation gives null."""
    method: Method | None
    """The method. null: there is no request."""
    url: str | None
    """The URL with its placeholders filled."""
    headers: dict[str, str] | None
    """The headers. Secret values and the signature are hidden."""
    body: Any
    """The JSON of the body."""
    error: DryRunErrorOut | None
    """Why there is no request. null: there is one, or the event is skipped."""
    unwanted: Setting | None
    """The setting that keeps such events from the endpoint: `filter` is its own or the application's. The relay still
    sends a delivery that waits already, and one that somebody resends. null: no setting keeps them from it."""


def show_transformation(endpoint: Endpoint) -> TransformationOut:
    """The transformation of an endpoint as responses show it."""
    shape = endpoint.request
    return TransformationOut(
        code=shape.transformation,
        enabled=shape.body is not None,
        variables=shape.variables,
        updated_at=moment(endpoint.updated_at_ms),
    )
