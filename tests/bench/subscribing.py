"""Endpoints with different filters: ten that rows match, and as many more as are wanted that none does."""

from relay.domain.matching import Matcher
from relay.domain.model import Application, ApplicationId, Endpoint, EndpointId

FILTERS: tuple[dict[str, object], ...] = (
    {"act": "call"},
    {"act": "land", "chName": "Paid Search"},
    {"act": "page", "segmentName": "Lakeside Kitchens"},
    {"act": {"$in": ["sale", "SALE", "TRANSACTION"]}},
    {"classes": "goal"},
    {"classes": "call", "callDuration": {"$gte": 30}},
    {"dgrpName": "Website pool"},
    {"src": "newsletter", "classes": "touch_point"},
    {"act": "callUser", "segmentName": "Harbour Windows"},
    {"$or": [{"goal": "21"}, {"txc": "EUR"}]},
)
"""Ten kinds of interest; a row passes about one of them."""


def filter_of(number: int) -> dict[str, object]:
    """The filter of an endpoint: behind the first ten, each wants a branch that has no rows."""
    return FILTERS[number] if number < len(FILTERS) else {"dgrpName": f"Branch {number}", "act": "call"}


def matcher(count: int) -> Matcher:
    """A matcher of so many endpoints."""
    application = Application(id=ApplicationId("app_1"), name="bench")
    endpoints = (
        Endpoint(id=EndpointId(f"ep_{n}"), app_id=application.id, url="https://crm.example", filter=filter_of(n))
        for n in range(count)
    )
    return Matcher([application], endpoints)
