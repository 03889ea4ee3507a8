"""`relay doctor`: whether a worker could start, poll and send with these settings, and what to change."""

import argparse
import asyncio
import os
import time
from collections.abc import Sequence

from relay.cli.diagnosing import Finding, Well, Wrong
from relay.cli.diagnosing.clocks import redis_clock
from relay.cli.diagnosing.egress import check_egress, endpoints_of
from relay.cli.diagnosing.redis_room import check_writes
from relay.cli.diagnosing.upstreams import check_upstreams
from relay.cli.faults import Exit
from relay.cli.output import Output
from relay.config import Settings, load, variable
from relay.config.readings import planned_requests
from relay.domain.model import Source
from relay.errors import RelayError, StoreDenied, StoreRefused, StoreUnavailable, Unreadable
from relay.observability import setup_logging
from relay.starting import check_queue, check_start
from relay.store.advice import ENCRYPT, GRANT, advice_of
from relay.store.server import Server
from relay.wiring import Stores, open_stores

MOST_SOURCES = 100
SIGNS = {"well": "ok", "warning": "warning", "failed": "FAILED"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything is a setting: those that the workers have."""
    parser.add_argument(
        "--offline",
        action="store_true",
        help="ask neither Infinity nor name servers: only settings, Redis and the clock",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print what was found; gives 0 if nothing fails, else 1. Raises Invalid for wrong settings."""
    settings = load(os.environ)
    setup_logging("text", "error")
    out = Output(as_json=args.json)
    found = [
        Well(area="settings", text="valid"),
        *asyncio.run(_checked(settings, offline=args.offline)),
    ]
    requests = planned_requests(settings)
    if out.as_json:
        findings = [{"area": each.area, "state": each.state, "text": each.text, "do": each.do} for each in found]
        out.document({"findings": findings, "requests": requests})
    for each in found:
        out.say(f"{SIGNS[each.state]:<8} {each.area}: {each.text}")
        if each.do:
            out.say(f"         {each.do}")
    out.say("\nRequests to Infinity, for each source and route:")
    for name, value in requests.items():
        out.say(f"  {name.replace('_', ' ')}: {value}")
    return Exit.FAILED if any(each.state == "failed" for each in found) else Exit.WELL


async def _checked(settings: Settings, *, offline: bool) -> list[Finding]:
    try:
        async with open_stores(settings) as (stores, _):
            found = await _redis(settings, stores)
            if offline:
                return found
            sources, unread = await _sources(stores)
            found += unread + await check_upstreams(settings, sources)
            return found + await check_egress(settings, [each async for each in endpoints_of(stores)])
    except (StoreUnavailable, StoreDenied, StoreRefused) as error:
        return [
            Wrong(area="Redis", state="failed", text=f"a worker cannot start: {error}", do=_advice(settings, error))
        ]


def _advice(settings: Settings, error: RelayError) -> str:
    if isinstance(error, StoreRefused):
        return "correct this, and run relay doctor again"
    if settings.redis_url is None:
        return f"set {variable('redis_url')}, or look at the files in {variable('data_dir')}"
    if isinstance(error, StoreDenied):
        return f"correct the user name and the password in {variable('redis_url')}"
    return f"check that Redis runs, and {variable('redis_url')}, and the network between"


async def _redis(settings: Settings, stores: Stores) -> list[Finding]:
    await stores.redis.ping()
    await check_start(stores.redis, stores.seal, is_embedded=True)
    queue = await _queue(settings)
    before_ms = time.time_ns() // 1_000_000
    server_ms = await Server(stores.redis).now_ms()
    clock = redis_clock(server_ms, before_ms, time.time_ns() // 1_000_000)
    if settings.redis_url is None:
        do = f"Set {variable('redis_url')} in production"
        return [Wrong(area="Redis", state="warning", text="the embedded server", do=do), *queue, clock]
    advice = await advice_of(stores.redis)
    found: list[Finding] = [*await check_writes(stores.redis, settings)]
    if not found:
        found.append(Well(area="Redis", text="everything that a worker needs is there"))
    found += [
        Wrong(area=f"Redis {each.setting}", state="warning", text=each.reason, do=each.do) for each in advice.findings
    ]
    if advice.is_in_the_clear:
        found.append(Wrong(area="Redis", state="warning", text="the connection is not encrypted", do=ENCRYPT))
    if advice.unchecked:
        text = f"not checked: {', '.join(advice.unchecked)}"
        found.append(Wrong(area="Redis", state="warning", text=text, do=GRANT))
    return [*found, *queue, clock]


async def _queue(settings: Settings) -> list[Finding]:
    """The server of the queue of jobs, where that is another one. Raises StoreRefused."""
    if settings.queue_redis_url is None:
        return []
    if await check_queue(settings.queue_redis_url.reveal()):
        return [Well(area="Redis of the queue", text="it answers")]
    do = f"check that this Redis runs, and {variable('queue_redis_url')}, and the network between"
    return [Wrong(area="Redis of the queue", state="failed", text="it does not answer, so nothing is polled", do=do)]


async def _sources(stores: Stores) -> tuple[Sequence[Source], list[Finding]]:
    """The sources, and a finding for each one that cannot be read."""
    sources: list[Source] = []
    found: list[Finding] = []
    uids = sorted(await stores.sources.uids())
    for uid in uids[:MOST_SOURCES]:
        try:
            sources.append(await stores.sources.get(uid))
        except Unreadable as error:
            do = "add the key that encrypted it to RELAY_ENCRYPTION_KEY, or send the source again"
            found.append(Wrong(area=f"source {uid}", state="failed", text=str(error), do=do))
        except RelayError:
            continue  # It was deleted a moment ago.
    if len(uids) > MOST_SOURCES:
        text = f"only the first {MOST_SOURCES} of {len(uids)} sources were checked"
        do = "look at the others with relay source list"
        found.append(Wrong(area="sources", state="warning", text=text, do=do))
    if not uids:
        do = "create one with relay apply, or PUT /api/v1/source/{uid}"
        found.append(Wrong(area="sources", state="warning", text="there are none, so nothing is polled", do=do))
    return sources, found
