"""Backfills: readings of a range that an operator asked for, once, with an audience of their own."""

from typing import Literal

import msgspec

from relay.domain.model import EndpointId
from relay.domain.reading.audience import Audience
from relay.domain.reading.place import MOST_ROW_ID, Place
from relay.domain.reading.plan import Reading
from relay.domain.reading.too_old import TooOld

BackfillState = Literal["running", "done", "cancelled", "failed"]


class Backfill(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator asked for, and the result. Kept as JSON."""

    id: str
    route: str
    after: int = 0
    since: str | None = None
    """A date such as `2026-01-31`: it begins at the first row of that day, and `after` does not count."""
    until: int
    until_day: str | None = None
    """The last day whose rows it reads; None: rows of any day up to `until`."""
    endpoints: tuple[EndpointId, ...] | None = None
    """See relay.domain.reading.audience."""
    too_old: TooOld | None = None
    """Of a replay: it reads only these rows, for the endpoint of the replay. `endpoints` is empty then, so a release
    that does not know this field reads them for nobody."""
    dry_run: bool = False
    """Whether it only counts."""
    created_ms: int
    state: BackfillState = "running"
    ended_ms: int | None = None
    error: str | None = None
    rows: int = 0
    """How many rows it has read, once it has ended. Until then, its place says so."""
    events: int = 0
    """How many events these made; of one that only counts, how many it would make."""

    @property
    def receivers(self) -> tuple[EndpointId, ...] | None:
        """See relay.domain.reading.audience."""
        return self.endpoints if self.too_old is None else (self.too_old.endpoint,)

    def ended(self, state: BackfillState, place: Place | None, *, now_ms: int, error: str | None = None) -> "Backfill":
        """As it is kept from now on."""
        counted = {} if place is None else {"rows": place.rows, "events": place.events}
        return msgspec.structs.replace(self, state=state, ended_ms=now_ms, error=error, **counted)


class BackfillReading(Reading, frozen=True, kw_only=True):
    """The reading of a backfill. It has one round."""

    backfill: Backfill
    is_once: bool = True

    @staticmethod
    def of(backfill: Backfill) -> "BackfillReading":
        """The one that does a backfill, or counts what it would do."""
        return BackfillReading(
            name=f"backfill.{backfill.id}",
            backfill=backfill,
            mode="count" if backfill.dry_run else "rows",
            until_day=backfill.until_day,
        )

    def every_s(self, poll_s: float) -> float:
        """Once; after a failure, its next try is its own."""
        return poll_s

    def back_s(self, poll_s: float) -> float:
        """It does not follow the cursor."""
        return 0.0

    def span(self, place: Place, *, cursor: int, then: int | None, first: int) -> tuple[int, int]:
        """From its place to its end."""
        return place.after, max(place.after, self.backfill.until)

    def audience(self, live_from: int) -> Audience | None:
        """Whom it was asked for."""
        endpoints = self.backfill.receivers
        return Audience(endpoints=None if endpoints is None else frozenset(endpoints), live_from=live_from)


def written(backfill: Backfill) -> bytes:
    """What is stored. A field that the release before does not know is left out while it says nothing."""
    fields = msgspec.structs.asdict(backfill)
    if backfill.too_old is None:
        del fields["too_old"]
    return msgspec.json.encode(fields)


def read_backfill(kept: bytes) -> Backfill | None:
    """A backfill as the store has it; None: it is damaged."""
    try:
        backfill = msgspec.json.decode(kept, type=Backfill)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return backfill if 0 <= backfill.after <= MOST_ROW_ID and 0 <= backfill.until <= MOST_ROW_ID else None
