"""Which changes of the configuration a store has lost, going by its history and that of a checkpoint.

A change is `{version} {member of the index}`. A version is never given twice, so two histories that have a change in
common are the same up to it: a server that loses writes loses the newest.
"""

from collections.abc import Collection, Sequence


def common_version(saved: Sequence[str], store: Sequence[str]) -> int:
    """The version of the newest change that both histories have; 0: they have none in common."""
    return max((_version(change) for change in set(saved).intersection(store)), default=0)


def lost_members(
    *,
    saved: Sequence[str],
    saved_index: Collection[str],
    saved_version: int,
    store: Sequence[str],
    store_index: Collection[str],
) -> set[str]:
    """The members whose state must be taken from the checkpoint; one that is not in its index was deleted.

    What was changed in the store after the loss stays as it is. A change after the newest common version was made
    after the loss. Without a common version nothing tells how old the store is, so every object is compared, and only
    what is newer than the checkpoint stays.
    """
    common = common_version(saved, store)
    stays = {_member(change) for change in store if _version(change) > (common or saved_version)}
    if common:
        return {_member(change) for change in saved if _version(change) > common} - stays
    return set(saved_index).union(store_index) - stays


def _version(change: str) -> int:
    digits = change.partition(" ")[0]
    return int(digits) if digits.isdecimal() else 0


def _member(change: str) -> str:
    return change.partition(" ")[2]
