"""Epochs: which store a store is.

A store gets an epoch when it is new, and another one each time that the relay finds that it lost writes. The checkpoint
carries the epoch of the store that it was taken of, so the two can be compared. See docs/adr/0015-checkpoints.md.
"""

from typing import Literal

import msgspec

MOST_ANCESTORS = 100
"""A store that lost its writes more often than this has forgotten the first losses."""

Standing = Literal["new", "well", "empty", "behind", "foreign"]
"""What a store is, compared with a checkpoint: the first of all; at least as new; without anything; older than it; or
of another relay."""


class Epoch(msgspec.Struct, frozen=True, kw_only=True):
    """One life of a store."""

    id: str
    beats: int = 0
    """How many checkpoints were begun in it."""
    ancestors: tuple[str, ...] = ()
    """The epochs before it, the newest first."""

    def next(self, new_id: str) -> "Epoch":
        """The epoch of a store that is restored from this one's checkpoint."""
        return Epoch(id=new_id, ancestors=(self.id, *self.ancestors)[:MOST_ANCESTORS])

    def descends_from(self, other: "Epoch") -> bool:
        """Whether this epoch is the other one, or came after it."""
        return other.id == self.id or other.id in self.ancestors

    def is_kin_of(self, other: "Epoch") -> bool:
        """Whether the two have an epoch in common.

        A store that loses its latest writes may lose that it was restored, too. It is restored again, into another
        epoch after the same one.
        """
        return not {self.id, *self.ancestors}.isdisjoint((other.id, *other.ancestors))


def standing(store: Epoch | None, saved: Epoch | None, *, is_empty: bool, is_kin: bool) -> Standing:
    """Compare a store with a checkpoint; None: there is no epoch, or no checkpoint.

    `is_empty`: the store has no configuration. `is_kin`: the histories of the two configurations have a change in
    common, which tells a store from before the first checkpoint from one of another relay.
    """
    if saved is None:
        return "new" if store is None else "well"
    if store is None:
        return "empty" if is_empty else "behind" if is_kin else "foreign"
    if store.id == saved.id:
        return "well" if store.beats >= saved.beats else "behind"
    if store.descends_from(saved):
        return "well"
    return "behind" if saved.descends_from(store) else "foreign"


class Watch:
    """Whether somebody still writes a checkpoint: its epoch or its number moves while it is looked at.

    Clocks are not compared, for they may differ. Times are in seconds, of any clock that does not jump.
    """

    def __init__(self) -> None:
        self._seen: tuple[str, int] | None = None
        self._since_s = 0.0
        self._moves = 0

    def still_s(self, saved: Epoch, *, now_s: float) -> float:
        """For how long the checkpoint has not moved, as far as this watch saw."""
        if (saved.id, saved.beats) != self._seen:
            self._moves += self._seen is not None
            self._seen, self._since_s = (saved.id, saved.beats), now_s
        return now_s - self._since_s

    @property
    def is_written(self) -> bool:
        """Whether it moved twice: one move may be a write that was under way when the store was lost."""
        return self._moves > 1
