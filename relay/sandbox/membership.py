"""Which lists show a row (infinity-api.md 4.1). Written without the relay's own rules on purpose: it checks them."""

from relay.sandbox.lines import Entry

CHARGES = "itemisedCalls"
TRIGGERS = ("all", "calls", "users", "goals", "transactions", "callsGoalsTransactions", "touchPoints", "visits")
ROUTES = (*TRIGGERS, CHARGES)
REAL_TIME = frozenset({"callBlegStart", "callAlegStop"})
"""Acts that a visitor's trace leaves out."""


def routes_of(row: Entry) -> tuple[str, ...]:
    """Name the lists that show a row.

    >>> routes_of(Entry(row_id="1", act="call", goal="11"))
    ('all', 'calls', 'goals', 'callsGoalsTransactions', 'touchPoints')
    """
    if row.call_charge is not None and not row.act:
        return (CHARGES,)
    call = row.act == "call"
    goal = row.goal not in {"", "0", 0}
    transaction = bool(row.txc or row.goal_currency) and row.act != "callRate"
    shown = {
        "all": True,
        "calls": call,
        "users": row.act == "callUser",
        "goals": goal,
        "transactions": transaction,
        "callsGoalsTransactions": call or goal or transaction,
        "touchPoints": call or goal or row.act == "land",
        "visits": row.act == "land",
    }
    return tuple(route for route, shows in shown.items() if shows)
