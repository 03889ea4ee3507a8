"""What bounds requests, on the wire: windows, concurrency, and budgets that endpoints share."""

from typing import Annotated

from msgspec import Meta, field

from relay.api.schemas.common import In, Out
from relay.domain.rates import LONGEST_WINDOW_S, MOST_WINDOWS, Budget, Rate

BUDGETS_MOST = 32


class RateIn(In, frozen=True, kw_only=True):
    """A limit of the receiver: so many requests in any stretch of so many seconds."""

    limit: Annotated[int, Meta(ge=1, le=10_000_000)]
    """The maximum number of requests."""
    seconds: Annotated[int, Meta(ge=1, le=LONGEST_WINDOW_S)]
    """The length of the window, such as 1, 10, 60, or 86400 for a day."""


Rates = Annotated[list[RateIn], Meta(max_length=MOST_WINDOWS)]
Concurrency = Annotated[int, Meta(ge=1, le=1024)]
BudgetName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=r"^[a-zA-Z0-9._-]+\Z",
        extra={"form": "must be letters, digits, `.`, `_` and `-`"},
    ),
]


class BudgetIn(In, frozen=True, kw_only=True):
    """Limits that endpoints share."""

    rates: Rates = field(default_factory=list)
    """In no stretch of `seconds` do the endpoints together begin more than `limit` requests, lookups included."""
    concurrency: Concurrency | None = None
    """The maximum number of concurrent callbacks of all of these endpoints, over all workers. null: no limit."""


Budgets = Annotated[dict[BudgetName, BudgetIn], Meta(max_length=BUDGETS_MOST)]


class RateOut(Out, frozen=True, kw_only=True):
    """A limit of the receiver."""

    limit: int
    """The maximum number of requests."""
    seconds: int
    """The length of the window."""


class BudgetOut(Out, frozen=True, kw_only=True):
    """Limits that endpoints share."""

    rates: list[RateOut]
    """The windows."""
    concurrency: int | None
    """The maximum number of concurrent callbacks."""


def read_rates(bodies: list[RateIn] | None) -> tuple[Rate, ...]:
    """Windows as they are stored."""
    return tuple(Rate(each.limit, each.seconds) for each in bodies or ())


def read_budgets(bodies: dict[str, BudgetIn] | None) -> dict[str, Budget]:
    """Budgets as they are stored."""
    given = (bodies or {}).items()
    return {name: Budget(rates=read_rates(body.rates), concurrency=body.concurrency) for name, body in given}


def show_rates(rates: tuple[Rate, ...]) -> list[RateOut]:
    """Windows as responses show them."""
    return [RateOut(limit=rate.limit, seconds=rate.seconds) for rate in rates]


def show_budgets(budgets: dict[str, Budget]) -> dict[str, BudgetOut]:
    """Budgets as responses show them."""
    return {
        name: BudgetOut(rates=show_rates(budget.rates), concurrency=budget.concurrency)
        for name, budget in budgets.items()
    }
