"""Reading the body of a request: strictly, by its type, and with all its faults in one answer.

The framework converts bodies leniently: it takes "null" for null and "5" for 5. But it asks the request for the parsed
body, and does not convert a value that has its type already. So the request converts it, for all operations.
"""

from itertools import islice
from typing import Any, get_args

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Empty

from relay.api.body_context import all_faults
from relay.api.body_faults import Walk, type_of
from relay.api.json_text import check_content_type, parse_json
from relay.api.parameters import check_parameters
from relay.errors import Fault, Invalid

MOST_FAULTS = 100
"""The maximum in one answer."""
KEPT = "faults"
"""The faults of a request's parameters in its state, until its body has been looked at."""


def check_request(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard for parameters. If a request has a body, `StrictRequest` raises their faults together with the body's."""
    try:
        check_parameters(connection, handler)
    except Invalid as error:
        declared = handler.parsed_data_field
        if declared is None or declared.has_default:
            raise
        connection.state[KEPT] = error.faults


def kept_faults(request: Request[Any, Any, Any]) -> list[Fault]:
    """The faults of a request's parameters."""
    return list(request.state.get(KEPT, ()))


class StrictRequest(Request[Any, Any, Any]):
    """A request whose body must have the type that its operation declares."""

    async def json(self) -> Any:
        """The converted body. Raises Invalid with its faults, or HTTPException if it is not JSON."""
        if self._json is Empty:
            check_content_type(self.content_type, self.headers.get("content-encoding", ""))
            self._json = await self._converted(parse_json(await self.body()))
        return self._json

    async def _converted(self, value: Any) -> Any:
        declared = self.route_handler.parsed_data_field
        kind = Any if declared is None else declared.annotation
        (struct,) = [each for each in get_args(kind) or (kind,) if each is not type(None)]
        if (expanded := getattr(struct, "expanded", None)) is not None:
            value = expanded(value)
        walk = Walk(self.app.state.policies)
        faults = list(islice(walk.faults(type_of(kind), value, ("body",)), MOST_FAULTS))
        kept = kept_faults(self)
        if len(faults) < MOST_FAULTS and not any(fault.path[0] == "path" for fault in kept):
            faults = await all_faults(self, struct, value, faults)
        if faults := [*kept, *faults][:MOST_FAULTS]:
            raise Invalid(*faults)
        try:
            return msgspec.convert(value, kind, strict=True)
        except msgspec.ValidationError as error:
            raise Invalid(Fault(("body",), str(error))) from None
