"""Which store a store is, compared with a checkpoint."""

import pytest

from relay.domain.epoch import MOST_ANCESTORS, Epoch, Standing, Watch, standing

FIRST = Epoch(id="a", beats=5)
SECOND = FIRST.next("b")
OTHER = Epoch(id="x", beats=99)


def beaten(epoch: Epoch, beats: int) -> Epoch:
    return Epoch(id=epoch.id, beats=beats, ancestors=epoch.ancestors)


@pytest.mark.parametrize(
    ("store", "saved", "expected"),
    [
        (None, None, "new"),
        (FIRST, None, "well"),
        (FIRST, FIRST, "well"),
        (beaten(FIRST, 6), FIRST, "well"),
        (beaten(FIRST, 4), FIRST, "behind"),
        (SECOND, beaten(FIRST, 1000), "well"),
        (beaten(FIRST, 1000), SECOND, "behind"),
        (OTHER, FIRST, "foreign"),
        (FIRST, OTHER, "foreign"),
        (OTHER, SECOND, "foreign"),
    ],
)
def test_a_store_is_compared_with_a_checkpoint(store: Epoch | None, saved: Epoch | None, expected: Standing) -> None:
    """Of one epoch the numbers count, of two the descent, and of strangers nothing."""
    assert standing(store, saved, is_empty=False, is_kin=False) == expected


@pytest.mark.parametrize(
    ("is_empty", "is_kin", "expected"), [(True, False, "empty"), (False, True, "behind"), (False, False, "foreign")]
)
def test_a_store_without_an_epoch(is_empty: bool, is_kin: bool, expected: Standing) -> None:
    """It was emptied; or it is from before the first checkpoint; or it is another relay's, and is not written over."""
    assert standing(None, FIRST, is_empty=is_empty, is_kin=is_kin) == expected


def test_ancestors_are_remembered_and_bounded() -> None:
    """The newest first."""
    epoch = FIRST
    for number in range(MOST_ANCESTORS + 5):
        epoch = epoch.next(f"e{number}")
    assert len(epoch.ancestors) == MOST_ANCESTORS
    assert epoch.ancestors[0] == f"e{MOST_ANCESTORS + 3}"
    assert not epoch.descends_from(FIRST)
    assert epoch.descends_from(epoch)


def test_kin_have_a_life_in_common() -> None:
    """One came after the other, or both came after a third."""
    again = FIRST.next("c")
    assert SECOND.is_kin_of(FIRST)
    assert FIRST.is_kin_of(SECOND)
    assert again.next("d").is_kin_of(SECOND)
    assert not OTHER.next("y").is_kin_of(SECOND)


def test_a_checkpoint_that_nobody_writes_stands_still() -> None:
    """From when it was seen first."""
    watch = Watch()
    assert [watch.still_s(FIRST, now_s=now) for now in (100.0, 101.0, 111.0)] == [0.0, 1.0, 11.0]
    assert not watch.is_written


def test_one_write_may_have_been_under_way() -> None:
    """The store was lost while it was written; with two, somebody works on from it."""
    watch = Watch()
    watch.still_s(FIRST, now_s=0.0)
    assert watch.still_s(beaten(FIRST, 6), now_s=9.0) == 0.0
    assert not watch.is_written
    assert watch.still_s(beaten(FIRST, 6), now_s=19.0) == 10.0
    watch.still_s(SECOND, now_s=20.0)
    assert watch.is_written
