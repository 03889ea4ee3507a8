"""What Sentinels and nodes answer is read, or refused as no answer; never believed in part."""

from typing import Any

import pytest
from redis.exceptions import AskError, InvalidResponse, MovedError

from relay.store.asking import Told
from relay.store.sentinel import read_master
from relay.store.slots import read_slots, target

ASKED = ("asked.example", 7000)
INFO = b"cluster_state:ok\r\ncluster_current_epoch:7\r\n"
NODE = [b"10.0.0.1", 7001, b"id", []]


def test_a_map_of_slots_is_read() -> None:
    """A node that does not name its host is the one that was asked, and replicas are nodes too."""
    ranges = [[0, 2, NODE, [b"10.0.0.2", 7002, b"id"]], [3, 3, [b"", 7003, b"id"]], [4, 4, [None, 7004, b"id"]]]
    found = read_slots(Told(ASKED, [ranges, INFO]))
    ours = [("10.0.0.1", 7001)] * 3 + [("asked.example", 7003), ("asked.example", 7004)]
    assert (found.epoch, found.owners) == (7, dict(enumerate(ours)))
    assert ("10.0.0.2", 7002) in found.nodes


@pytest.mark.parametrize(
    ("ranges", "info"),
    [(b"OK", INFO), ([[0, 5]], INFO), ([[b"x", 5, NODE]], INFO), ([[0, 5, 1]], INFO), ([[0, 5, NODE]], b""),
     ([[0, 5, NODE]], None), ([None], INFO)],
)  # fmt: skip
def test_another_answer_is_no_map(ranges: Any, info: Any) -> None:
    with pytest.raises(InvalidResponse):
        read_slots(Told(ASKED, [ranges, info]))


def test_a_range_ends_where_slots_end() -> None:
    """Whatever a node says."""
    assert len(read_slots(Told(ASKED, [[[-5, 10**12, NODE]], INFO])).owners) == 16_384


def test_the_master_is_read() -> None:
    state = [b"name", b"m", b"ip", b"10.0.0.1", b"port", b"6379", b"config-epoch", b"3"]
    assert read_master(Told(ASKED, [state])) == (3, ("10.0.0.1", 6379))


@pytest.mark.parametrize("state", [b"OK", None, [], [b"ip"], [b"ip", b"x", b"port", b"y", b"config-epoch", b"1"]])
def test_another_answer_is_no_master(state: Any) -> None:
    with pytest.raises(InvalidResponse):
        read_master(Told(ASKED, [state]))


def test_where_a_node_sends_us() -> None:
    """To its own host, if it names none."""
    assert target(MovedError("3999 10.0.0.3:7005"), ASKED) == ("10.0.0.3", 7005)
    assert target(AskError("3999 :7005"), ASKED) == ("asked.example", 7005)
    assert target(AskError("3999 ::1:7005"), ASKED) == ("::1", 7005)
