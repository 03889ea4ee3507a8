"""What a store lost of its configuration, by two histories of it."""

from hypothesis import given
from hypothesis import strategies as st

from relay.domain.merging import common_version, lost_members

MEMBERS = [f"endpoint/app/{letter}" for letter in "abcdef"]
Change = tuple[str, bool]
"""A member, and whether it is there after that."""
changes = st.lists(st.tuples(st.sampled_from(MEMBERS), st.booleans()), max_size=12)


def replayed(made: list[Change], *, first: int) -> tuple[list[str], dict[str, int]]:
    """The history of some changes, and each member that is there with the version that wrote it."""
    history, state = [], dict[str, int]()
    for version, (member, is_there) in enumerate(made, first):
        history.append(f"{version} {member}")
        if is_there:
            state[member] = version
        else:
            state.pop(member, None)
    return history, state


@given(kept=changes, lost=changes, since=changes, reach=st.integers(1, 40))
def test_what_was_lost_comes_back_and_what_was_written_since_stays(
    kept: list[Change], lost: list[Change], since: list[Change], reach: int
) -> None:
    """A store that lost its newest changes, and was changed since, has the lost ones that nobody overwrote."""
    saved_history, saved = replayed([*kept, *lost], first=1)
    # Versions are times: what is written after the loss is later than what was lost.
    after, _ = replayed(since, first=1000)
    store_history, store = replayed(kept, first=1)
    for change, (member, is_there) in zip(after, since, strict=True):
        version = int(change.split(" ")[0])
        store = {**store, member: version} if is_there else {m: v for m, v in store.items() if m != member}
    store_history += after
    newest = len(saved_history)
    members = lost_members(
        saved=saved_history[-reach:],
        saved_index=saved,
        saved_version=newest,
        store=store_history[-reach:],
        store_index=store,
    )
    merged = {**store, **{m: saved[m] for m in members if m in saved}}
    merged = {m: v for m, v in merged.items() if m not in members or m in saved}
    written_since = {member for member, _ in since}
    # A history that forgot its common part can't tell what it forgot of the changes since the loss either.
    if len(since) <= reach:
        for member in MEMBERS:
            expected = store if member in written_since else saved
            assert merged.get(member) == expected.get(member), member


def test_an_empty_store_lost_everything() -> None:
    """Whatever the history of the checkpoint still knows."""
    lost = lost_members(
        saved=["7 source/uk"], saved_index=["source/uk", "source/fr"], saved_version=7, store=[], store_index=[]
    )
    assert lost == {"source/uk", "source/fr"}


def test_a_version_in_common_needs_the_same_change() -> None:
    """Two relays can have given one version, each to a change of its own."""
    assert common_version(["5 source/a", "9 source/b"], ["5 source/a", "9 source/c"]) == 5
    assert common_version(["9 source/b"], ["9 source/c", "damage"]) == 0
