"""Which sources a round of upkeep visits."""

from relay.domain.model import SourceUid
from relay.pipeline.rota import QUIET_ROUNDS, Rota
from relay.store.moments import Moment

A, B = SourceUid("a"), SourceUid("b")
STILL: Moment = (b"1", None)


def test_quiet_sources_take_turns() -> None:
    """A source in which nothing is stored is visited at first, and then once in so many rounds."""
    rota = Rota()
    assert rota.choose({A: STILL, B: STILL}, turn=0) == [A, B]
    rounds = [rota.choose({A: STILL, B: STILL}, turn=turn) for turn in range(1, QUIET_ROUNDS + 1)]
    assert sum(A in chosen for chosen in rounds) == sum(B in chosen for chosen in rounds) == 1


def test_a_source_that_is_not_quiet_is_visited() -> None:
    """After a commit, after deliveries were sent again by hand, and after a round that found something to forget."""
    rota = Rota()
    rota.choose({A: STILL}, turn=0)
    turn = next(turn for turn in range(1, 9) if not rota.choose({A: STILL}, turn=turn))
    assert rota.choose({A: (b"2", None)}, turn=turn) == [A]
    assert rota.choose({A: (b"2", b"1")}, turn=turn) == [A]
    assert rota.choose({A: (b"2", b"1")}, turn=turn) == []
    rota.again(A)
    assert rota.choose({A: (b"2", b"1")}, turn=turn) == [A]
