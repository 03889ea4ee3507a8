"""The endpoints for which an operator asked for a reading."""

import msgspec

from relay.domain.model import EndpointId


class Audience(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoints that rows are told to again, although they are as they were."""

    endpoints: frozenset[EndpointId] | None
    """None: every endpoint that wants them. Empty: nobody, they are stored only."""
    live_from: int
    """Behind this rowId, other readings still look for late rows: a row that is new there is news for everybody."""
