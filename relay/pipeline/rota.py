"""Which sources a round of upkeep visits: in most of a thousand sources, nothing has changed since the last one."""

from collections.abc import Mapping
from zlib import crc32

from relay.domain.model import SourceUid
from relay.store.moments import Moment

QUIET_ROUNDS = 30
"""A source in which nothing was stored since its last visit, and which had nothing to forget, is visited so rarely."""


class Rota:
    """Remembers how sources were when this worker visited them. Other workers' visits are theirs to remember."""

    def __init__(self) -> None:
        self._left: dict[SourceUid, Moment] = {}

    def choose(self, moments: Mapping[SourceUid, Moment], *, turn: int) -> list[SourceUid]:
        """The sources to visit in a round, by its number. Quiet ones take turns."""
        chosen = [
            source
            for source, moment in moments.items()
            if self._left.get(source) != moment or (crc32(source.encode()) + turn) % QUIET_ROUNDS == 0
        ]
        self._left = dict(moments)
        return chosen

    def again(self, source: SourceUid) -> None:
        """Visit a source in the next round too."""
        self._left.pop(source, None)
