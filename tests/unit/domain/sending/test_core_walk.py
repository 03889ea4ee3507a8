"""Random walks through the core alone: whatever happens, what can be sent is sent, in its order, and nothing waits.

Each walk is given by its seed. One that fails is made as short as it can be, and shown.
"""

import os
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from tests.unit.domain.sending.walk import ENDPOINTS, FATES, KINDS, ORDERS, SOURCES, Walk

WALKS = int(os.environ.get("RELAY_TEST_WALKS", "240"))
FIRST = int(os.environ.get("RELAY_TEST_FIRST_WALK", "0"))
STEPS = 150
AT_ONCE = 20

Step = tuple[str, dict[str, Any]]
WEIGHTS = {
    "events_come": 3.0,
    "a_worker_exchanges": 8.0,
    "attempts_end": 8.0,
    "a_worker_sends": 5.0,
    "a_worker_asks": 6.0,
    "time_passes": 4.0,
    "a_worker_sweeps": 5.0,
    "a_worker_beats": 2.0,
    "a_worker_is_given_up": 1.0,
    "a_worker_drains": 0.5,
    "an_endpoint_is_switched": 1.5,
    "limits_change": 0.7,
    "an_order_changes": 0.7,
    "a_worker_hears": 2.0,
    "waiting_is_released": 0.7,
    "the_store_is_copied": 0.3,
    "the_store_goes_back_in_time": 0.3,
    "a_worker_comes_to_rest": 2.0,
}


def steps(random: Random) -> Iterator[Step]:
    """Anything, again and again."""
    some = random.choice
    outcomes = ["ended", "ended", *KINDS]
    while True:
        told, how = some([True, False]), some(["on", "on", "off", "unknown"])
        about: dict[str, Any] = {
            "which": some([0, 0, 0, 1]), "source": some(SOURCES), "endpoint": some(ENDPOINTS), "told": told, "how": how,
            "count": random.randint(1, 6), "sends": random.randint(0, 8), "at": random.randint(0, 8),
            "fate": some(FATES), "fails": random.random() < 0.2, "rights": random.randint(0, 3), "wakes": some([0, 1]),
            "ms": some([1, 50, 1_000, 6_000, 40_000]), "order": some(ORDERS), "limit": some([None, 1, 30]),
            "outcomes": [some(outcomes) for _ in range(random.randint(1, 8))] if some([0, 1]) else ["ended"] * 8,
            "most": random.randint(1, 9),
        }  # fmt: skip
        (name,) = random.choices(list(WEIGHTS), list(WEIGHTS.values()))
        wanted = getattr(Walk, name).__annotations__
        yield name, {key: value for key, value in about.items() if key in wanted}


def fault(slots: int, walk: list[Step]) -> str:
    """What is wrong after some steps, and when everything is well again; '' nothing."""
    world = Walk(slots)
    try:
        for name, about in walk:
            getattr(world, name)(**about)
        world.everything_arrives()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is wrong
        return f"{type(error).__name__}: {error}"
    return ""


def shortest(slots: int, walk: list[Step]) -> list[Step]:
    """The same walk without whatever is not needed to fail in the same way."""
    said, size = fault(slots, walk)[:40], len(walk) // 2
    while size:
        at = 0
        while at < len(walk):
            shorter = walk[:at] + walk[at + size :]
            if fault(slots, shorter)[:40] == said:
                walk = shorter
            else:
                at += size
        size //= 2
    return walk


def test_what_comes_to_a_lane_that_leaves_passes_nothing() -> None:
    """The store goes back in time, and gives a worker more of a lane of which it has forgotten what it had claimed.

    A random walk found it: the first event of a key failed, and what came was set aside behind it at once. What had
    been forgotten came behind that.
    """
    worker: dict[str, Any] = {"which": 0}
    exchange = worker | {"source": "uk", "fate": "works"}
    walk: list[Step] = [
        ("a_worker_comes_to_rest", worker),
        ("events_come", {"source": "uk", "told": True, "count": 5}),
        ("attempts_end", worker | {"at": 1, "outcomes": ["ended"] * 8}),
        ("a_worker_exchanges", exchange | {"sends": 5}),
        ("the_store_is_copied", {}),
        ("a_worker_beats", worker),
        ("a_worker_exchanges", exchange | {"sends": 8}),
        ("attempts_end", worker | {"at": 0, "outcomes": ["ended"] * 8}),
        ("a_worker_sends", worker | {"sends": 4}),
        ("attempts_end", worker | {"at": 2, "outcomes": ["ended"] * 8}),
        ("a_worker_exchanges", exchange | {"sends": 7, "fate": "call lost"}),
        ("the_store_goes_back_in_time", {}),
        ("a_worker_exchanges", exchange | {"sends": 4}),
        ("events_come", {"source": "uk", "told": True, "count": 6}),
        (
            "attempts_end",
            worker | {"at": 6, "outcomes": ["slow", "busy", "gone", "refused", "ended", "breaks", "refused"]},
        ),
    ]
    assert fault(2, walk) == ""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", range(FIRST, FIRST + WALKS, AT_ONCE))
def test_whatever_can_be_sent_is_sent(first: int) -> None:
    """After whatever happened, in whatever order, everything arrives, and nothing that could go stands still."""
    for seed in range(first, first + AT_ONCE):
        random = Random(seed)
        slots = random.choice([1, 2, 8])
        walk = [step for step, _ in zip(steps(random), range(STEPS), strict=False)]
        if fault(slots, walk):
            needed = shortest(slots, walk)
            told = "\n".join(f"  {name} {about}" for name, about in needed)
            pytest.fail(f"walk {seed} with {slots} slots: {fault(slots, needed)}\n{told}")
