"""`relay doctor`: whether a worker could start with these settings, what to change, and what polling will cost."""

import argparse
import asyncio
import os

from relay.config import Settings, load, variable
from relay.config.readings import planned_requests
from relay.errors import StoreDenied, StoreRefused, StoreUnavailable
from relay.observability import setup_logging
from relay.starting import check_queue, check_start
from relay.store.advice import ENCRYPT, GRANT, advice_of
from relay.wiring import open_stores


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """Everything is a setting: those that the workers have."""


def run(_args: argparse.Namespace) -> int:
    """Print what was found; gives 0 if a worker can start, else 1. Raises Invalid for wrong settings."""
    settings = load(os.environ)
    setup_logging("text", "error")
    print("Settings: valid")
    can_start = asyncio.run(_check_servers(settings))
    print("\nRequests to Infinity, for each source and route:")
    for name, value in planned_requests(settings).items():
        print(f"  {name.replace('_', ' ')}: {value}")
    return 0 if can_start else 1


async def _check_servers(settings: Settings) -> bool:
    try:
        async with open_stores(settings) as (stores, _):
            await stores.redis.ping()
            await check_start(stores.redis, stores.seal, is_embedded=True)
            if settings.queue_redis_url is not None:
                await check_queue(settings.queue_redis_url.reveal())
            advice = await advice_of(stores.redis) if settings.redis_url is not None else None
    except (StoreUnavailable, StoreDenied, StoreRefused) as error:
        print(f"Redis: a worker cannot start: {error}")
        return False
    if advice is None:
        print(f"Redis: the embedded server. Set {variable('redis_url')} in production")
        return True
    print("Redis: everything that a worker needs is there")
    for each in advice.findings:
        print(f"  {each.setting}: {each.reason}. {each.do}")
    if advice.is_in_the_clear:
        print(f"  The connection is not encrypted: {ENCRYPT}")
    if advice.unchecked:
        print(f"  Not checked: {', '.join(advice.unchecked)}. To change this, {GRANT}")
    return True
