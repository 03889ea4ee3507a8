"""When an endpoint is sent to, on the wire: what bounds its requests, and what delays them."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from relay.api.schemas.common import In, Out
from relay.api.schemas.rates import BudgetName, Concurrency, RateOut, Rates, show_rates
from relay.domain.model import Endpoint


class PaceIn(In, frozen=True, kw_only=True):
    """The fields of an endpoint that say when it is sent to."""

    rates: Rates | UnsetType | None = UNSET
    """Limits of the receiver, in addition to `throttleRate`: in no stretch of `seconds` does the relay begin more than
    `limit` requests, lookups included. null: none."""
    concurrency: Concurrency | UnsetType | None = UNSET
    """The maximum number of concurrent callbacks over all workers. null: only `maxInFlight` limits them."""
    budget: BudgetName | UnsetType | None = UNSET
    """The name of a budget of the application. All endpoints that name it share its limits. null: none."""
    delay_seconds: Annotated[float, Meta(ge=0, le=86_400)] | UnsetType = UNSET
    """An event is sent when the relay has had it for so long, and not before. Default: 0. Messages that you resend or
    replay, and examples, are sent at once."""
    newest_only: bool | UnsetType = UNSET
    """Whether only the newest revision of a row is sent, of those that wait because of `delaySeconds`. The older ones
    are canceled when it is delivered. Default: false."""


class PaceOut(Out, frozen=True, kw_only=True):
    """The same, as responses show them."""

    rates: list[RateOut]
    """Limits of the receiver, in addition to `throttleRate`."""
    concurrency: int | None
    """The maximum number of concurrent callbacks over all workers. null: only `maxInFlight` limits them."""
    budget: str | None
    """The budget of the application whose limits the endpoint shares."""
    delay_seconds: float
    """How long the relay has an event before it sends it."""
    newest_only: bool
    """Whether only the newest revision of a row is sent, of those that wait because of `delaySeconds`."""


def pace_of(endpoint: Endpoint) -> dict[str, Any]:
    """The fields of PaceOut, by their names."""
    return {
        "rates": show_rates(endpoint.rates), "concurrency": endpoint.concurrency, "budget": endpoint.budget,
        "delay_seconds": endpoint.delay_s, "newest_only": endpoint.newest_only,
    }  # fmt: skip
