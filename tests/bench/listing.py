"""Lists of the API over a million messages: how long a page takes, at the beginning, in the middle and at the end."""

import sys
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx

from relay.api.iterators import SealedIterators, write_iterator
from relay.api.undelivered_steps import AtDead, AtWaiting
from relay.cli.demo.ports import free_port
from relay.domain.model import Endpoint, Source
from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.ground import Ground, ground
from tests.bench.listed import at_ms, fill_attempts, fill_dead, fill_messages, posts_stream
from tests.bench.measuring import percentile
from tests.bench.processes import child, listens

PART = "lists"
TEXT = "p99 of a page of 50 over 1,000,000 messages, attempts and undelivered deliveries, by HTTP"
ROWS, POSTS = 900_000, 100_000
CALLS = 100
WARM = 5
LIMIT = 50
GOAL_MS = 50
PLACES = ("first", "middle", "last")


class Listed(NamedTuple):
    """One list: its path and parameters, and the iterators of its middle and its last page."""

    what: str
    path: str
    parameters: Mapping[str, Any] = {}
    iterators: Mapping[str, str] = {}


async def run(bench: Bench) -> None:
    """Fill a store, then read each list at each place."""
    bench.report.begin(PART, TEXT)
    rows, posts = bench.size(ROWS), bench.size(POSTS)
    async with ground(bench.own_folder("l")) as store:
        source = await store.source(paused=True)
        (paused, sent) = await store.subscribe(2, lambda n: f"https://hooks.example.com/{n}", paused=True)
        began = time.monotonic()
        await fill_messages(store, source.uid, rows, [paused])
        await fill_messages(store, posts_stream(store), posts, [paused])
        await fill_attempts(store, source, sent, rows)
        await fill_dead(store, source, sent, rows)
        took = f"{rows:,} rows and {posts:,} posts, filled in {time.monotonic() - began:.0f} s"
        port = free_port()
        command = ("-m", "relay.cli.main", "serve")
        env = {**store.environment, "RELAY_PORT": str(port), "RELAY_KEY_REQUESTS_PER_MINUTE": "1000000"}
        headers = {"authorization": f"Bearer {store.environment['RELAY_ADMIN_KEY']}"}
        async with (
            child("api", sys.executable, *command, folder=bench.own_folder("l"), ready=listens(port), env=env),
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1", headers=headers, timeout=60) as client,
        ):
            for listed in _lists(store, source, paused, sent, rows, posts):
                await _measure(bench, client, listed, note=took)
                took = ""


async def _measure(bench: Bench, client: httpx.AsyncClient, listed: Listed, *, note: str) -> None:
    firsts: list[float] = []
    for place in PLACES if listed.iterators else PLACES[:1]:
        parameters = {"limit": LIMIT, **listed.parameters, "iterator": listed.iterators.get(place, "")}
        runs = [await _calls(bench, client, listed.path, parameters) for _ in range(bench.runs)]
        p99s = [percentile(times, 0.99) for times in runs]
        firsts = firsts or p99s
        middle = f"p50 {percentile([each for times in runs for each in times], 0.5):.1f} ms"
        text = f"{listed.what}, {place} page"
        figure = Figure(
            PART, text, p99s, "ms", ratio=sum(p99s) / sum(firsts), baseline="the first page",
            goal=f"<= {GOAL_MS} ms", note=f"{middle}; {note}".removesuffix("; "),
        )  # fmt: skip
        bench.report.add(figure)
        note = ""


async def _calls(bench: Bench, client: httpx.AsyncClient, path: str, parameters: Mapping[str, Any]) -> list[float]:
    """The times of calls, in ms."""
    times = []
    for number in range(WARM + bench.size(CALLS)):
        began = time.perf_counter()
        answer = await client.get(path, params={name: value for name, value in parameters.items() if value != ""})
        took = (time.perf_counter() - began) * 1000
        answer.raise_for_status()
        if number >= WARM:
            times.append(took)
    return times


def _lists(store: Ground, source: Source, paused: Endpoint, sent: Endpoint, rows: int, posts: int) -> list[Listed]:
    app, stream = f"/app/{store.application.id}", posts_stream(store)
    undelivered = SealedIterators(store.stores.vault, "undelivered|")
    messages = {
        "middle": write_iterator({source.uid: rows // 2, stream: posts // 2}),
        "last": write_iterator({source.uid: LIMIT // 2, stream: LIMIT // 2}),
    }
    places = {"middle": rows // 2, "last": LIMIT}
    attempts = {place: write_iterator({source.uid: [at_ms(n) + 5, ""]}) for place, n in places.items()}
    dead = {place: undelivered.write(AtDead(source.uid, at_ms(n), "")) for place, n in places.items()}
    waiting = {
        place: undelivered.write(AtWaiting(paused.app_id, paused.id, source.uid, rows - n))
        for place, n in places.items()
    }
    of_endpoint = f"{app}/attempt/endpoint/{sent.id}"
    return [
        Listed("messages", f"{app}/msg/", {}, messages),
        Listed("messages of a common type", f"{app}/msg/", {"event_types": "call.created"}, messages),
        Listed("messages of a rare type", f"{app}/msg/", {"event_types": "goal.created"}, messages),
        Listed("messages of a common channel", f"{app}/msg/", {"channel": "all"}, messages),
        Listed("messages of a rare channel", f"{app}/msg/", {"channel": "rare"}, messages),
        Listed("attempts", of_endpoint, {}, attempts),
        Listed("attempts that failed, one in a thousand", of_endpoint, {"status": 2}, attempts),
        Listed("an endpoint's messages", f"{app}/endpoint/{sent.id}/msg", {}, attempts),
        Listed("dead deliveries", "/undelivered/", {"state": "dead"}, dead),
        Listed("waiting deliveries", "/undelivered/", {"state": "waiting"}, waiting),
    ]
