"""Which deliveries a replay chooses by the reason for which they are dead."""

from typing import get_args

import pytest

from relay.api.schemas.replays import REASON_TEXTS
from relay.domain.books import State
from relay.domain.model import ApplicationId, EndpointId
from relay.domain.replaying import Chosen, Reason, Replay, Wanted, has_state, is_booked, short_of


@pytest.mark.parametrize(
    ("wanted", "state", "has", "booked"),
    [
        ("dead", State.DEAD, True, True),
        ("dead", State.FORGOTTEN, True, True),
        ("poison", State.DEAD, True, False),
        ("poison", State.FORGOTTEN, True, False),
        ("poison", State.DROPPED_FULL, False, False),
        ("backlog_full", State.DROPPED_FULL, True, True),
        ("backlog_full", State.DROPPED_OLD, False, False),
        ("backlog_full", State.DEAD, False, False),
        ("backlog_too_old", State.DROPPED_OLD, True, True),
    ],
)
def test_what_the_books_know_of_reasons(wanted: Chosen | Reason, state: State, has: bool, booked: bool) -> None:
    """They know why a backlog was dropped. For every other reason, the delivery must be listed with it."""
    assert (has_state(Wanted(states=(wanted,)), state), is_booked(Wanted(states=(wanted,)), state)) == (has, booked)


def test_events_that_are_gone_count_by_what_the_books_know() -> None:
    """A delivery that is dead for a listed reason is not read again: another reason may be its own."""
    replay = Replay(
        id="qtask_1", kind="endpoint.recover", application=ApplicationId("app_1"), endpoint=EndpointId("ep_1"),
        wanted=Wanted(states=("poison", "backlog_full")), end=99, created_ms=1, updated_ms=1,
    )  # fmt: skip
    told = short_of(replay, [(3, State.FORGOTTEN), (4, State.DROPPED_FULL), (5, State.DROPPED_OLD), (6, State.DEAD)])
    assert (told.too_old, told.gone_first, told.gone_last) == (1, 4, 4)
    assert replay.wanted.booked == ("backlog_full",)


def test_every_reason_is_described() -> None:
    """In the schema of a request."""
    assert set(REASON_TEXTS) == set(get_args(Reason))
