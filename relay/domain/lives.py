"""Whether a store lost what it had of a source, although it has its epoch: a node of a cluster can be emptied alone."""

from collections.abc import Mapping

from relay.domain.checkpoint import Life
from relay.domain.model import SourceUid


def life_id(created_at_ms: int, random: str) -> str:
    """The id of a life. It tells a source from one that had its uid before.

    >>> is_same_source(life_id(17, "a"), life_id(17, "b")), is_same_source(life_id(17, "a"), life_id(18, "a"))
    (True, False)
    """
    return f"{created_at_ms}-{random}"


def is_same_source(one: str, other: str) -> bool:
    """Whether two ids of lives are of the same source."""
    return one.partition("-")[0] == other.partition("-")[0]


def lost_sources(saved: Mapping[SourceUid, Life], found: Mapping[SourceUid, Life | None]) -> list[SourceUid]:
    """The sources whose lives in the store do not continue those of a checkpoint, of those that are in both.

    A life ended if there is none, if the other one does not say that it began after this one was restored, or if its
    sequence is lower than it was.
    """
    return [uid for uid, life in found.items() if uid in saved and _is_lost(saved[uid], life)]


def _is_lost(saved: Life, found: Life | None) -> bool:
    if found is None:
        return True
    if found.id == saved.id:
        return found.sequence < saved.sequence
    return is_same_source(found.id, saved.id) and found.before != saved.id
