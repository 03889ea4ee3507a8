"""How every operation's body is read: strictly, by its type, with all its faults at once.

The framework converts bodies leniently: it takes "null" for null and "5" for 5. But it asks the request for the parsed
body, and leaves a value alone that has its type already. So the request converts, and no operation can forget to.
"""

from itertools import islice
from typing import Any

import msgspec
from litestar import Request
from litestar.types import Empty

from relay.api.body_faults import Walk, type_of
from relay.api.json_text import check_content_type, parse_json
from relay.errors import Fault, Invalid

MOST_FAULTS = 100
"""Told in one answer."""


class StrictRequest(Request[Any, Any, Any]):
    """A request whose body has the type that its operation declares, or is refused."""

    async def json(self) -> Any:
        """The body, converted. Raises Invalid with its faults, or HTTPException for what is not JSON."""
        if self._json is Empty:
            check_content_type(self.content_type, self.headers.get("content-encoding", ""))
            self._json = self._converted(parse_json(await self.body()))
        return self._json

    def _converted(self, value: Any) -> Any:
        declared = self.route_handler.parsed_data_field
        kind = Any if declared is None else declared.annotation
        walk = Walk(self.app.state.policies)
        if faults := list(islice(walk.faults(type_of(kind), value, ("body",)), MOST_FAULTS)):
            raise Invalid(*faults)
        try:
            return msgspec.convert(value, kind, strict=True)
        except msgspec.ValidationError as error:
            raise Invalid(Fault(("body",), str(error))) from None
