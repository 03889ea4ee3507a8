"""Owners whose expressions reach limits rest ever longer."""

from relay.expressions.owners import LONGEST_REST_S, MOST_SETS, Owner


def test_one_event_that_is_too_much_costs_no_rest() -> None:
    """The second in a row does, and each further one twice as much, up to five minutes."""
    owner, rests = Owner(), list[float]()
    for _ in range(12):
        owner.reached_limit(1, 100.0)
        rests.append(owner.rests_s(1, 100.0))
    assert rests[:4] == [0, 2, 4, 8]
    assert rests[-1] == LONGEST_REST_S
    assert owner.rests_s(1, 100.0 + LONGEST_REST_S) == 0


def test_a_result_ends_the_row() -> None:
    """Other expressions of the owner are not concerned."""
    owner = Owner()
    for _ in range(5):
        owner.reached_limit(1, 0.0)
    assert (owner.rests_s(1, 0.0) > 0, owner.rests_s(2, 0.0)) == (True, 0)
    owner.kept_limits(1)
    owner.reached_limit(1, 0.0)
    assert owner.rests_s(1, 0.0) == 0


def test_what_is_remembered_is_bounded() -> None:
    """Expressions that are changed again and again are forgotten."""
    owner = Owner()
    for number in range(10 * MOST_SETS):
        owner.reached_limit(number, 0.0)
    assert len(owner._offences) == MOST_SETS
