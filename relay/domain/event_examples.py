"""An example event of each type: of the relay's own types, and of types with schemas.

Examples of the relay's own types are made of rows, with the code that makes events, so they cannot differ from events.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from relay.domain import envelope, json_text
from relay.domain.classifying import classify
from relay.domain.event_types import EVENT_TYPES, code_of
from relay.domain.model import SourceUid
from relay.domain.normalising import normalise
from relay.domain.operational_types import is_operational, operational_example
from relay.domain.schema_examples import example_of_schema

SOURCE, IGRP = SourceUid("example"), 1
POLLED_AT = "2018-01-16T13:35:00.000Z"
"""When the rows were changed."""

_SEEN = {"rowId": "141248745", "triggerDatetime": "2018-01-16 13:20:11", "igrp": str(IGRP), "ch": "3", "chName": "PPC"}
_LANDING = {**_SEEN, "act": "land", "vid": "93393a8e", "src": "google", "pageTitle": "Home", "goal": "0"}
# Phone numbers are those that Ofcom sets aside for drama.
_NUMBERS = {"srcPhoneNumber": "+442079460123", "dialledPhoneNumber": "+442079460456", "callDirection": "in"}
_CALL = {
    **_SEEN, "act": "call", "vid": "93393a8e", "goal": "0", **_NUMBERS, "callDuration": "145", "bridgeDuration": "131",
    "ringTime": "9", "callStage": "bridge", "callState": "NORMAL_CLEARING_A", "dgrp": "7", "dgrpName": "Sales",
    "rec": "1", "callRating": "",
}  # fmt: skip
_CHARGE = {
    **_SEEN, **_NUMBERS, "rowId": "4", "callDuration": "145", "callCharge": "0.060000", "perMinuteCharge": "0.020000",
    "chargeCurrencyCode": "GBP", "dgrp": "7", "dgrpName": "Sales",
}  # fmt: skip
_ROWS: Mapping[str, tuple[dict[str, str], dict[str, str]]] = {
    "transaction": (
        {**_LANDING, "act": "sale", "txr": "HW-1042", "txv": "1.10", "txc": "GBP", "outcomeType": ""},
        {"outcomeType": "V"},
    ),
    "goal": ({**_CALL, "goal": "12", "goalTitle": "Call of a minute"}, {"callRating": "5"}),
    "call": (_CALL, {"callRating": "5"}),
    "call_user": ({**_CALL, "act": "callUser", "operatorRef": "jane.doe"}, {"operatorRef": "john.doe"}),
    "visit": (_LANDING, {"country": "GB"}),
    "touch_point": (_LANDING, {"country": "GB"}),
    "trigger": ({**_LANDING, "act": "page", "pageTitle": "Prices"}, {"country": "GB"}),
    "call_charge": (_CHARGE, {"callCharge": "0.080000"}),
}
"""By class: a row, and what changed in it when it was read again."""


def example_of(event_type: str, schemas: Mapping[str, Any] | None = None) -> bytes:
    """The body of an example event of a type, in JSON: what a receiver could get.

    Of one of the relay's own types, `schemas` has no say. Of another type, the example is made from the newest of its
    `schemas` (version → JSON Schema), or is an empty object if there are none.
    """
    if is_operational(event_type):
        return operational_example(event_type)
    if event_type in EVENT_TYPES:
        return _own(event_type)
    return json_text.encode(example_of_schema(schemas[newest(schemas)]) if schemas else {})


def newest(schemas: Mapping[str, Any]) -> str:
    """The newest of some versions: the greatest number, or else the last one as text. There is at least one.

    >>> newest({"9": {}, "10": {}, "draft": {}})
    '10'
    """
    numbers = [version for version in schemas if version.isdecimal()]
    return max(numbers, key=int) if numbers else max(schemas)


@lru_cache(maxsize=len(EVENT_TYPES))
def _own(event_type: str) -> bytes:
    of_class, _, change = event_type.partition(".")
    row, changes = _ROWS[of_class]
    was, now = normalise(row), normalise(row | changes)
    is_new = change == "created"
    trigger = was if is_new else now
    data = envelope.data(
        source=SOURCE,
        igrp=IGRP,
        row_id=int(row["rowId"]),
        revision=1 if is_new else 2,
        classes=classify(row, route="itemisedCalls" if of_class == "call_charge" else "all"),
        trigger=trigger,
        previous=None if is_new else envelope.previous(was, now),
    )
    timestamp = envelope.timestamp(trigger, created=is_new, polled_at=POLLED_AT)
    return envelope.head(code_of(event_type)) + envelope.encode(data, timestamp=timestamp)
