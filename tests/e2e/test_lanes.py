"""What an endpoint may ask of its lane, with two real workers: an order, a rate, a pause; and what its answers do."""

import time
from collections.abc import AsyncIterator

import msgspec
import pytest

from relay.domain.model import Endpoint
from relay.domain.requests.model import Batch, RequestShape
from tests.fault.checker import out_of_order
from tests.fault.recorder import Arrival, Reply, always, failing_rows
from tests.fault.stage import Stage, stage, until

QUICK_RETRIES = (0.3,) * 5


@pytest.fixture
async def on() -> AsyncIterator[Stage]:
    """A stage with two workers that share its lanes."""
    async with stage(21) as playing:
        for _ in range(2):
            await playing.worker()
        yield playing


def every_fifth_fails_twice(row: int) -> int:
    return 2 if row % 5 == 0 else 0


async def test_fifo_keeps_the_order_of_rows(on: Stage) -> None:
    """One at a time: what fails is tried again before anything that came after it is sent."""
    await on.endpoint("fifo", failing_rows(every_fifth_fails_twice), order="fifo", retry_schedule=QUICK_RETRIES)
    rows = [on.upstream.offer("fifo") for _ in range(20)]
    await on.drained()
    assert out_of_order(on.recorder.of("fifo"), dict.fromkeys(rows, "all")) == []
    assert on.recorder.most_flying["fifo"] == 1
    assert on.verdict().lost == []


async def test_keyed_keeps_the_order_of_each_key_and_no_key_waits_for_another(on: Stage) -> None:
    """Of ten keys one fails until those of the other nine are through: only its rows wait for each other."""
    rows: list[int] = []
    keys: dict[int, str] = {}

    def habit(_number: int, row: int) -> Reply:
        through = {each.row for each in on.recorder.of("keyed") if each.accepted}
        others = {each for each in rows if keys[each] != "k0"}
        return Reply(422) if row == rows[0] and not others <= through else Reply()

    await on.endpoint("keyed", habit, order="keyed", order_key="c_key", retry_schedule=(0.3,) * 100)
    for number in range(100):
        row = on.upstream.offer("keyed", key=f"k{number % 10}")
        rows.append(row)
        keys[row] = f"k{number % 10}"
    await on.drained()
    assert out_of_order(on.recorder.of("keyed"), keys) == []
    assert on.verdict().lost == []


async def test_batches_are_few_requests_and_an_event_that_is_refused_fails_alone(on: Stage) -> None:
    """Of 200 rows one is refused, whatever it comes with: the others are delivered once, in far fewer requests."""
    shape = RequestShape(batch=Batch(size=20, wait_s=0.5))
    rows: list[int] = []

    def habit(_number: int, row: int) -> Reply:
        return Reply(422 if row == rows[50] else 204)

    await on.endpoint("together", habit, request=shape, retry_schedule=())
    rows += [on.upstream.offer("together") for _ in range(200)]
    await on.drained()
    arrived = [each.row for each in on.recorder.of("together") if accepted(each)]
    assert sorted(arrived) == [row for row in rows if row != rows[50]]
    assert on.recorder.requests["together"] <= 60


async def test_a_rate_limit_holds_over_all_workers(on: Stage) -> None:
    """At no time were there more callbacks than the limit and the burst of a tenth of it allow, whoever sends them."""
    await on.endpoint("slow", rate_limit=40)
    began = time.monotonic()
    for _ in range(160):
        on.upstream.offer("slow")
    await on.drained()
    times = sorted(arrival.at for arrival in on.recorder.of("slow"))
    assert len(times) == 160
    # A callback may be late, and is early by no more than the clocks' rounding.
    assert [(number, at - began) for number, at in enumerate(times, 1) if number > 40 * (at - began) + 4 + 1] == []


async def test_a_paused_endpoint_keeps_what_comes(on: Stage) -> None:
    """Nothing is sent while it is paused, and everything after."""
    paused = await on.endpoint("later", paused=True)
    await on.endpoint("now")
    for _ in range(30):
        on.upstream.offer("later")
        on.upstream.offer("now")
    await until(lambda: len(on.recorder.of("now")) == 30, what="the other endpoint's callbacks")
    assert on.recorder.of("later") == []
    await change(on, paused, paused=False)
    await on.drained()
    assert len(on.recorder.of("later")) == 30


async def test_gone_disables_the_endpoint_and_says_so_once(on: Stage) -> None:
    """410: the endpoint is disabled, one operational event says why, and its events are kept."""
    gone = await on.endpoint("gone", always(410))
    for _ in range(30):
        on.upstream.offer("gone")

    async def disabled() -> bool:
        return (await on.stores.endpoints.get(on.application.id, gone.id)).disabled

    await until(disabled, what="the endpoint to be disabled")
    noted = []
    while not noted:
        noted = await on.stores.operations.page(limit=10)
    assert [(each.kind, each.data["endpointId"]) for each in noted] == [("endpoint.disabled", gone.id)]
    on.recorder.set("gone", always())
    await change(on, gone, disabled=False)
    await on.drained()
    assert on.verdict().lost == []


async def test_retry_after_is_honoured_for_the_whole_lane(on: Stage) -> None:
    """After a 429 that asks for two seconds nothing is sent for so long, then everything."""
    busy = [True]

    def habit(_number: int, _row: int) -> Reply:
        if busy.pop() if busy else False:
            return Reply(429, headers=("retry-after: 2",))
        return Reply()

    await on.endpoint("busy", habit, max_in_flight=1, retry_schedule=QUICK_RETRIES)
    for _ in range(20):
        on.upstream.offer("busy")
    await on.drained()
    first, second, *_ = on.recorder.of("busy")
    assert second.at - first.at >= 2.0
    assert len({arrival.row for arrival in on.recorder.of("busy") if accepted(arrival)}) == 20


def accepted(arrival: Arrival) -> bool:
    return arrival.accepted


async def change(on: Stage, endpoint: Endpoint, **fields: object) -> None:
    """Change an endpoint as the REST API does."""
    await on.stores.endpoints.change(
        on.application.id, endpoint.id, lambda current: msgspec.structs.replace(current, **fields)
    )
