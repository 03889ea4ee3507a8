"""Histograms of lags: what they say is right to an eighth, whoever counted what."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.lags import LAST_BUCKET, MOST_MS, Histogram, Lags, bucket_of, merged, most_of
from relay.domain.model import MessageId, StoredEvent

lags = st.integers(0, MOST_MS) | st.integers(0, 100_000)
SEEN_MS = 1_790_000_000_000


def histogram(values: list[int]) -> Histogram:
    found = Histogram()
    for each in values:
        found.add(each)
    return found


@given(lags)
def test_a_bucket_says_an_eighth_too_much_at_most(lag_ms: int) -> None:
    """And never too little."""
    most = most_of(bucket_of(lag_ms))
    assert lag_ms <= most <= lag_ms + lag_ms / 8


def test_buckets_leave_no_lag_out() -> None:
    """Each begins where the one before ends, and there are few."""
    ends = [most_of(bucket) for bucket in range(LAST_BUCKET + 1)]
    assert [bucket_of(end) for end in ends] == list(range(LAST_BUCKET + 1))
    assert [bucket_of(end + 1) for end in ends[:-1]] == list(range(1, LAST_BUCKET + 1))
    assert (ends[-1], LAST_BUCKET) == (MOST_MS, 271)


@pytest.mark.parametrize(("lag_ms", "bucket"), [(-1, 0), (-(10**15), 0), (10**15, LAST_BUCKET)])
def test_what_cannot_be_is_counted_at_the_edge(lag_ms: int, bucket: int) -> None:
    """A row from the future has no lag, and one of the last century two years."""
    assert histogram([lag_ms]).counts == {bucket: 1}


@given(st.lists(lags, min_size=1), st.data())
def test_a_share(values: list[int], data: st.DataObject) -> None:
    """What a share of the lags did not exceed is that of the sorted list, to an eighth."""
    place = data.draw(st.integers(0, len(values) - 1))
    exact = sorted(values)[place]
    at_most = histogram(values).at_most((place + 0.5) / len(values))
    assert at_most is not None
    assert exact <= at_most <= exact + exact / 8


def test_nothing_counted_says_nothing() -> None:
    """It is no lag of 0."""
    assert Histogram().at_most(0.5) is None
    assert Histogram().total == 0


@given(st.lists(st.lists(lags), max_size=5))
def test_histograms_of_many_workers_are_one(parts: list[list[int]]) -> None:
    """Merged in any order, they are what one worker would have counted."""
    one = Histogram()
    for part in reversed(parts):
        one.merge(histogram(part))
    assert one == histogram([each for part in parts for each in part])


@given(st.lists(lags))
def test_it_survives_the_store(values: list[int]) -> None:
    """As it is packed."""
    counted = {3: Lags(sight=histogram(values), row=histogram(values[:1]))}
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(counted), type=dict[int, Lags]) == counted


def test_what_another_release_counts_does_no_harm() -> None:
    """Buckets that this one does not know, and numbers that are none."""
    one = histogram([5])
    one.merge(Histogram({-1: 4, LAST_BUCKET + 1: 9, 7: -3, 5: 1}, -10))
    assert one == Histogram({5: 2}, 5)


def event(timestamp: str, *, revision: int = 1) -> StoredEvent:
    body = f'"timestamp":"{timestamp}","data":{{}}}}'.encode()
    return StoredEvent(MessageId("msg_x"), "7", SEEN_MS, revision, b"\0", body, 0)


@pytest.mark.parametrize(
    ("told", "row"),
    [
        (event("2026-09-21T14:12:20.000Z"), [62_000]),
        (event("2026-09-21T15:12:20.000Z"), [0]),
        (event("2026-09-21T14:12:20.000Z", revision=2), []),
        (StoredEvent(MessageId("msg_x"), "7", SEEN_MS, 1, b"\0", b"short"), []),
        (event("0000-00-00T00:00:00.000Z"), []),
        (event("2026-09-21T14:13:20.000Z"), []),
    ],
    ids=["own time", "from the future", "a change", "damaged", "no date", "no time of its own"],
)
def test_the_time_of_a_row(told: StoredEvent, row: list[int]) -> None:
    """Only a first sight says how old a row is, and not of a row without a time: its event has that of its sight."""
    counted = Lags()
    counted.add(told, SEEN_MS + 2_000)
    assert counted.sight == histogram([2_000])
    assert counted.row == histogram(row)


def test_lags_of_routes_are_merged_by_route() -> None:
    """Each minute of each worker has some."""
    one, two = Lags(), Lags()
    one.sight.add(5)
    two.sight.add(9)
    found = merged([{1: one}, {1: two, 2: two}])
    assert {route: each.sight.counts for route, each in found.items()} == {1: {5: 1, 9: 1}, 2: {9: 1}}
    assert one.sight.counts == {5: 1}
