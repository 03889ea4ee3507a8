"""States as words and tones: one table for all pages. A state that is not in it is shown as it is, without a tone."""

from typing import Final, Literal, NamedTuple

Tone = Literal["good", "busy", "warn", "bad", "quiet"]


class State(NamedTuple):
    """How a state is shown."""

    word: str
    tone: Tone


STATES: Final[dict[str, State]] = {
    # Routes of sources, and how fresh they are.
    "new": State("New", "quiet"),
    "waiting": State("Waiting", "quiet"),
    "polling": State("Polling", "good"),
    "fresh": State("Fresh", "good"),
    "lagging": State("Lagging", "warn"),
    "stalled": State("Stalled", "bad"),
    "stopped": State("Stopped", "bad"),
    "paused": State("Paused", "quiet"),
    # Endpoints and their breakers.
    "working": State("Working", "good"),
    "failing": State("Failing", "bad"),
    "resting": State("Backing off", "warn"),
    "disabled": State("Disabled", "bad"),
    "unfit": State("Cannot send", "bad"),
    "closed": State("Closed", "good"),
    "open": State("Open", "bad"),
    # Deliveries and attempts.
    "confirmed": State("Delivered", "good"),
    "unwanted": State("Filtered out", "quiet"),
    "none": State("No delivery", "quiet"),
    "delivered": State("Delivered", "good"),
    "success": State("Succeeded", "good"),
    "skipped": State("Skipped", "quiet"),
    "canceled": State("Canceled", "quiet"),
    "retry": State("Will retry", "warn"),
    "pending": State("Will retry", "warn"),
    "sending": State("Sending", "busy"),
    "fail": State("Failed", "bad"),
    "failed": State("Failed", "bad"),
    "dead": State("Dead", "bad"),
    # Tasks, and the differences that a reconciliation finds.
    "running": State("Running", "busy"),
    "comparing": State("Comparing", "busy"),
    "checking": State("Checking", "busy"),
    "repairing": State("Repairing", "busy"),
    "done": State("Done", "good"),
    "finished": State("Finished", "good"),
    "cancelled": State("Cancelled", "quiet"),
    "missing": State("Missing", "bad"),
    "unexpected": State("Unexpected", "warn"),
    "undelivered": State("Undelivered", "warn"),
    "dropped": State("Dropped", "bad"),
}


def state_of(name: str | None) -> State:
    """How a state is shown."""
    if name is None:
        return State("Unknown", "quiet")
    return STATES.get(name, State(name.replace("_", " ").capitalize(), "quiet"))
