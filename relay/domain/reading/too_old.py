"""The rows of deliveries that a replay chose and whose events the relay no longer has. A backfill reads them again."""

from collections.abc import Sequence

import msgspec

from relay.domain.books import State
from relay.domain.model import EndpointId
from relay.domain.replaying import STATES, Chosen, Reason

ANOTHERS = frozenset({State.NOT_OWED, State.REPLACED})
"""The endpoint was not owed the event, or is owed another one for it."""


class TooOld(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay chose. Kept as JSON, in a backfill."""

    task: str
    """The id of the replay."""
    endpoint: EndpointId
    states: tuple[Chosen | Reason, ...]
    """What became of the deliveries."""
    first: int
    """The lowest number of an event that can be chosen."""
    last: int
    """The highest one."""


def chosen(too_old: TooOld, numbers: Sequence[int], states: Sequence[State]) -> int | None:
    """The event for which a row is read again; None: for none.

    `numbers` has the row's events in the order in which they were stored, and `states` what became of their deliveries
    to the endpoint. The last event that the endpoint was owed decides, because the upstream shows the newest state of a
    row only.
    """
    owed = [each for each in zip(numbers, states, strict=True) if each[1] not in ANOTHERS]
    number, state = owed[-1] if owed else (numbers[-1], State.NOT_OWED)
    is_chosen = too_old.first <= number <= too_old.last and any(state in STATES[each] for each in too_old.states)
    return number if is_chosen else None
