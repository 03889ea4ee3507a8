"""Metrics say what is: gauges equal the store, counts equal what was sent, and there are not too many series."""

import asyncio

import msgspec
import pytest
from redis.asyncio import Redis

from relay.domain.counts import ReadingCounts
from relay.domain.model import ApplicationId, Endpoint, EndpointId, SourceUid
from relay.metrics.table import METRICS
from relay.store import depths as depths_module
from relay.store import keys
from relay.store.events import Events
from relay.store.key_ages import KEPT, KeyAges
from tests.fakes.subscribers import Got, status
from tests.integration.books import read_books
from tests.integration.pipeline.dispatching_rig import Dispatching
from tests.integration.pipeline.metrics_rig import VAULT, Metrics, Scrape, low_water
from tests.integration.pipeline.rig import UK, Rig, until

MOST_SERIES = 5_000
"""Goal G39: with 1,000 endpoints."""


@pytest.fixture
def dispatching(rig: Rig) -> Dispatching:
    """Rows that come, and workers that send."""
    return Dispatching(rig)


def depths(scrape: Scrape) -> dict[str, float]:
    """The deliveries of all streams by state."""
    return scrape.values("relay_deliveries", "state")


async def census(redis: Redis) -> dict[str, float]:
    """The same from the keys as they stand."""
    books = await read_books(redis, UK)
    groups = {
        "waiting": books.waiting, "in_flight": books.flying, "replay": books.replays, "behind_key": books.behind,
    }  # fmt: skip
    counts = {state: sum(map(len, group.values())) for state, group in groups.items()}
    counts |= {"retry": len(books.due), "dead": len(books.dead)}
    return {state: float(count) for state, count in counts.items() if count}


async def test_gauges_equal_the_store(dispatching: Dispatching) -> None:
    """One endpoint holds its callbacks, one fails, one gave up, one is ordered by a key, one is disabled."""
    rig, released = dispatching.rig, asyncio.Event()
    await rig.source()

    async def hold(_: Got) -> object:
        await released.wait()
        return status(204)(_)

    subscribers = dispatching.subscribers
    subscribers.answers |= {
        "held.example.com": hold,
        "down.example.com": status(404),
        "gone.example.com": status(404),
        "keyed.example.com": status(404),
    }
    held = await rig.endpoint(url="https://held.example.com/", max_in_flight=3)
    await rig.endpoint(url="https://down.example.com/")
    await rig.endpoint(url="https://gone.example.com/", retry_schedule=())
    await rig.endpoint(url="https://keyed.example.com/", order="keyed", order_key="visitorId")
    await rig.endpoint(url="https://off.example.com/", disabled=True)
    async with dispatching.worker() as worker:
        await dispatching.rows(7, visitorId="a")

        async def still() -> bool:
            found = await census(rig.eyes)

            return found.get("dead") == 7 and found.get("retry") == 7 + 1 and found.get("behind_key") == 6

        await until(still)
        rig.clock.advance(90)
        scrape = await Metrics(worker, rig.eyes).scrape()
        assert depths(scrape) == await census(rig.eyes)
        assert scrape.value("relay_endpoint_waiting_deliveries", endpoint_id=held.id) == 7
        assert scrape.value("relay_callbacks_in_flight") == 3
        assert scrape.values("relay_endpoints", "state") == {"well": 4, "disabled": 1}
        released.set()
        await until(lambda: worker.dispatcher.counts.ended["delivered"] == 7)
        scrape = await Metrics(worker, rig.eyes).scrape()
        assert scrape.values("relay_deliveries_ended_total", "outcome") == {"delivered": 7, "dead": 7}
        assert scrape.values("relay_attempts_total", "outcome") == {"2xx": 7, "4xx": 15}
        assert scrape.values("relay_endpoint_attempts_total", "result") == {"success": 7, "failure": 15}


async def test_the_oldest_event_is_found(dispatching: Dispatching) -> None:
    """In a lane or in flight, by the server's clock; the overall age is that of endpoints that are well."""
    rig, released = dispatching.rig, asyncio.Event()

    async def hangs(got: Got) -> object:
        await released.wait()
        return status(204)(got)

    await rig.source()
    seconds, _ = await rig.eyes.time()
    urls = {"url": "https://crm.example.com/"}
    off, waits = [await rig.endpoint(disabled=True), await rig.endpoint(paused=True)], await rig.endpoint(**urls)
    rig.clock.at_ms = (seconds - 500) * 1000
    await dispatching.rows(1)
    await empty(rig, waits)
    rig.clock.at_ms = (seconds - 100) * 1000
    await dispatching.rows(2)
    async with dispatching.worker(slots=1) as worker:
        dispatching.subscribers.answers["crm.example.com"] = hangs
        await until(lambda: dispatching.subscribers.got)
        scrape = await Metrics(worker, rig.eyes).scrape()
        ages = scrape.values("relay_endpoint_oldest_waiting_seconds", "endpoint_id")
        assert {endpoint: round(age, -2) for endpoint, age in ages.items()} == {
            **{each.id: 500.0 for each in off},
            waits.id: 100.0,
        }
        assert round(scrape.value("relay_oldest_waiting_seconds"), -2) == 100
        released.set()


@pytest.mark.parametrize("at_once", [5_000, 2], ids=["in one look", "in several"])
async def test_the_oldest_event_may_wait_for_a_retry(
    dispatching: Dispatching, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """Goal G39: the age of the oldest event equals the truth, also if the event waits for a retry."""
    monkeypatch.setattr(depths_module, "RETRIES_AT_ONCE", at_once)
    rig = dispatching.rig
    await rig.source()
    seconds, _ = await rig.eyes.time()
    hosts = {"refuses.example.com": status(404), "crm.example.com": status(204)}
    dispatching.subscribers.answers |= hosts
    refuses, _ = [await rig.endpoint(url=f"https://{host}/") for host in hosts]
    held = await rig.endpoint(paused=True)
    for ago in (500, 300, 100):
        rig.clock.at_ms = (seconds - ago) * 1000
        await dispatching.rows(1 if ago == 500 else 3)
        if ago == 500:
            await empty(rig, held)
    async with dispatching.worker() as worker:
        await until(lambda: worker.dispatcher.counts.retries == 7)
        await until(lambda: worker.dispatcher.counts.ended["delivered"] == 7)

        async def still() -> bool:
            return (await census(rig.eyes)).get("retry") == 7

        await until(still)
        scrape = await Metrics(worker, rig.eyes).scrape()
    ages = scrape.values("relay_endpoint_oldest_waiting_seconds", "endpoint_id")
    assert {name: round(age, -2) for name, age in ages.items()} == {refuses.id: 500.0, held.id: 300.0}
    assert await true_ages(rig.eyes, seconds) == {refuses.id: 500.0, held.id: 300.0}
    assert round(scrape.value("relay_oldest_waiting_seconds"), -2) == 500
    assert round(scrape.value("relay_oldest_ready_seconds"), -2) == 0


async def true_ages(redis: Redis, seconds: int) -> dict[str, float]:
    """The age of each endpoint's oldest event that waits, from the keys as they stand."""
    books, events, oldest = await read_books(redis, UK), Events(redis), dict[str, int]()
    for group in (books.waiting, books.flying):
        for endpoint, references in group.items():
            oldest[endpoint] = min([oldest.get(endpoint, 1 << 60), *(each.number for each in references)])
    for endpoint, each in books.due:
        oldest[endpoint] = min(oldest.get(endpoint, 1 << 60), each.number)
    stored = await events.read(UK, set(oldest.values()))
    return {endpoint: seconds - stored[number].stored_at_ms / 1000 for endpoint, number in oldest.items()}


async def test_the_age_of_the_encryption_key_is_that_of_its_first_use(dispatching: Dispatching) -> None:
    """A process that starts again with the key does not make it younger."""
    rig = dispatching.rig
    seconds, _ = await rig.eyes.time()
    await rig.eyes.zadd(KEPT, {VAULT.sealing: (seconds - 500) * 1000})
    await KeyAges(rig.redis, VAULT).note()
    async with dispatching.worker() as worker:
        scrape = await Metrics(worker, rig.eyes).scrape()
    assert round(scrape.value("relay_encryption_key_age_seconds"), -2) == 500


async def test_the_low_water_mark_of_a_route_is_that_of_the_checkpoint(dispatching: Dispatching) -> None:
    """It stands before the oldest event that waits, and behind the cursor."""
    rig = dispatching.rig
    await rig.source()
    await rig.endpoint(paused=True)
    seconds, _ = await rig.eyes.time()
    await dispatching.rows(3)
    async with dispatching.worker() as worker:
        scrape = await Metrics(worker, rig.eyes).scrape()
    marks = await low_water(rig.eyes).read([rig.catalogue.sources[UK]], now_ms=seconds * 1000)
    assert scrape.value("relay_route_low_water", source=UK, route="all") == marks[UK]["all"].cursor == 0
    assert scrape.value("relay_route_cursor", source=UK, route="all") == 3


async def empty(rig: Rig, endpoint: Endpoint) -> None:
    """Take everything out of a lane, as if it had been delivered."""
    await rig.eyes.delete(keys.lane(UK, endpoint.id))


async def test_a_thousand_endpoints_are_not_too_many_series(dispatching: Dispatching) -> None:
    """With attempts and waiting deliveries at each, and more endpoints than have names."""
    rig = dispatching.rig
    await rig.source("all", "calls", "goals", "transactions")
    some = Endpoint(id=EndpointId(""), app_id=ApplicationId("app"), url="https://crm.example.com/")
    endpoints = [msgspec.structs.replace(some, id=EndpointId(f"ep_{number:027}")) for number in range(1_010)]
    async with rig.eyes.pipeline(transaction=False) as pipe:
        for each in endpoints:
            pipe.hset(keys.owed(UK), each.id, 1000)
            pipe.rpush(keys.lane(UK, each.id), "a1:0:abcde", "a2:0:abcde")
        await pipe.execute()
    reading = ReadingCounts()
    for source in (UK, SourceUid("gone")):
        for route in ("all", "calls", "goals", "transactions"):
            for outcome in ("ok", "failed", "refused", "limit"):
                reading.polled(source, route, outcome)
    async with dispatching.worker(slots=1) as worker:
        worker.catalogue._endpoints = {each.id: each for each in endpoints}
        worker.dispatcher.counts.succeeded = {each.id: 5 for each in endpoints}
        worker.dispatcher.counts.failed = {each.id: 5 for each in endpoints}
        scrape = await Metrics(worker, rig.eyes, reading).scrape()
    assert len(scrape.samples) <= MOST_SERIES - 100
    assert len(scrape.values("relay_endpoint_attempts_total", "endpoint_id")) == 1_001
    assert scrape.value("relay_endpoint_attempts_total", endpoint_id="other", result="success") == 50
    assert sum(scrape.values("relay_endpoint_waiting_deliveries", "endpoint_id").values()) == 2_020


async def test_every_metric_of_a_worker_is_exposed(dispatching: Dispatching) -> None:
    """With the labels that the table says; those of the store only while the store answers."""
    rig = dispatching.rig
    await rig.source()
    await rig.endpoint(url="https://down.example.com/")
    dispatching.subscribers.answers["down.example.com"] = status(503)
    reading = ReadingCounts()
    reading.polled(UK, "all", "ok")
    reading.took_in(UK, "all", rows=1, events=1)
    async with dispatching.worker() as worker, dispatching.time_passing():
        await dispatching.rows(8)
        await until(lambda: worker.dispatcher.counts.breakers["open"])
        await rig.eyes.hset(keys.route(UK, "all"), mapping={"caught_up_at_ms": 1, "cursor": 8})  # type: ignore[misc]
        await rig.eyes.hset(keys.EPOCH, mapping={"id": "e", "beats": 1, "saved_ms": 1})  # type: ignore[misc]
        await KeyAges(rig.eyes, VAULT).note()
        metrics = Metrics(worker, rig.redis, reading)
        await until(lambda: is_told(metrics))
        scrape = await metrics.scrape()
        expected = {each.name: set(each.labels) for each in METRICS if each.of != "api"}
        shown = {base(name): set(labels) - {"le"} for name, labels, _ in scrape.samples}
        assert shown == expected
        rig.redis.faults.after(0, takes_effect=False)
        scrape = await metrics.scrape()
        rig.redis.faults.stop()
        of_store = {each.name for each in METRICS if each.scope == "store"}
        assert scrape.value("relay_redis_up") == 0
        assert not scrape.names() & of_store


async def is_told(metrics: Metrics) -> bool:
    """Whether the store knows by now that the endpoint fails."""
    return "relay_endpoint_failing_seconds" in (await metrics.scrape()).names()


def base(name: str) -> str:
    """A metric by the name of its sample."""
    names = {each.name for each in METRICS}
    return name if name in names else name.rpartition("_")[0]
