"""Itemised calls: what each call cost, as rows of an id space of their own."""

from relay.sandbox.columns import CHARGE, Row

FIRST_ROW_ID = 4
STEP = 3
"""4 and 7 are the ids of the upstream's own example."""
PER_MINUTE = "0.020000"


def charge(call: Row, *, row_id: int) -> Row:
    """Make the charge of a call from the call's own row. Calls that nobody answered cost nothing."""
    minutes = -(-int(call["bridgeDuration"]) // 60)
    charged = {
        "rowId": str(row_id),
        "callCharge": f"{minutes * float(PER_MINUTE):.6f}",
        "chargeCurrencyCode": "GBP" if minutes else "",
        "perMinuteCharge": PER_MINUTE if minutes else "0.000000",
    }
    return {name: charged.get(name, call.get(name, "")) for name in CHARGE}
