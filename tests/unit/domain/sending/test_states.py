"""The tables of states: what leads where, and what never does."""

from itertools import product

import pytest

from relay.domain.sending.states import (
    ENDPOINT_TABLE,
    LANE_TABLE,
    EndpointEvent,
    EndpointState,
    LaneEvent,
    LaneState,
)
from tests.unit.domain.sending.desk import Desk, arrival, endpoint

IGNORED: dict[EndpointState, set[EndpointEvent]] = {
    EndpointState.FLOWING: {*EndpointEvent} - {EndpointEvent.REST, EndpointEvent.OFF},
    EndpointState.RESTING: {EndpointEvent.REST, EndpointEvent.GRANTED, EndpointEvent.REFUSED, EndpointEvent.ON},
    EndpointState.ASKING: {EndpointEvent.OVER, EndpointEvent.DUE, EndpointEvent.ON},
    EndpointState.PROBING: {EndpointEvent.OVER, EndpointEvent.GRANTED, EndpointEvent.REFUSED, EndpointEvent.ON},
    EndpointState.OFF: {*EndpointEvent} - {EndpointEvent.ON},
}
"""What changes nothing: it is known already, it is late, or its configuration stands above it."""


def test_every_pair_is_thought_of() -> None:
    """Each event in each state leads somewhere, or is listed as one that changes nothing."""
    for state, event in product(EndpointState, EndpointEvent):
        assert ((state, event) in ENDPOINT_TABLE) != (event in IGNORED[state]), (state, event)


def test_what_is_off_is_left_by_its_configuration_alone() -> None:
    """Nothing that a receiver or another worker says makes an endpoint send that was switched off."""
    assert {event for state, event in ENDPOINT_TABLE if state is EndpointState.OFF} == {EndpointEvent.ON}
    assert all(
        (state, EndpointEvent.OFF) in ENDPOINT_TABLE for state in EndpointState if state is not EndpointState.OFF
    )


def test_every_state_can_be_left_and_reached() -> None:
    """No endpoint ends in a state for good; a lane ends in one, and from there nothing leads back."""
    assert {state for state, _ in ENDPOINT_TABLE} == set(ENDPOINT_TABLE.values()) == set(EndpointState)
    assert {state for state, _ in LANE_TABLE} == set(LaneState) - {LaneState.GONE}
    assert set(LANE_TABLE.values()) == set(LaneState)


def test_a_lane_is_lost_from_everywhere() -> None:
    """Whatever a worker does with a lane, the store may have given it to somebody else."""
    for state in set(LaneState) - {LaneState.GONE}:
        assert LANE_TABLE[state, LaneEvent.LEFT] is LaneState.GONE


def reach(desk: Desk, state: EndpointState) -> None:
    """Bring the endpoint to a state, with two events that wait."""
    desk.claim(arrival(1), arrival(2))
    if state is EndpointState.OFF:
        desk.configure(endpoint(), off=True)
    elif state is EndpointState.RESTING:
        desk.learn(opens=1, until_ms=desk.now_ms + 5_000)
    elif state in (EndpointState.ASKING, EndpointState.PROBING):
        desk.learn(opens=1, until_ms=desk.now_ms)
        if state is EndpointState.PROBING:
            desk.learn(opens=1, until_ms=desk.now_ms, prober="me", probe_until_ms=desk.now_ms + 25_000)
    assert desk.machine().state is state


@pytest.mark.parametrize(
    ("state", "sent"),
    [
        (EndpointState.FLOWING, [1, 2]),
        (EndpointState.RESTING, []),
        (EndpointState.ASKING, []),
        (EndpointState.PROBING, [1]),
        (EndpointState.OFF, []),
    ],
)
def test_what_a_state_lets_go_out(state: EndpointState, sent: list[int]) -> None:
    """Everything, one at a time, or nothing."""
    desk = Desk()
    reach(desk, state)
    assert desk.numbers() == sent
    assert desk.core.next(desk.now_ms) is None
