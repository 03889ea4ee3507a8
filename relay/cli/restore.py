"""`relay restore`: bring back what Redis lost from the checkpoint at RELAY_CHECKPOINT_URL, and say what it was."""

import argparse
import asyncio
import os
from datetime import UTC, datetime

import uvloop

from relay.config import Settings, load, variable
from relay.errors import Fault, Invalid
from relay.observability import setup_logging
from relay.pipeline.clock import Clock
from relay.pipeline.restoring import Restored
from relay.pipeline.vouching import LOOK_S
from relay.starting import check_start
from relay.wiring import open_stores
from relay.wiring_checkpoints import vouching_of


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """Everything is a setting: those that the workers have."""


def run(_args: argparse.Namespace) -> int:
    """Restore, and print what was restored. Raises Invalid for wrong settings, CheckpointRefused, and others."""
    settings = load(os.environ)
    setup_logging("text", "warning")
    return uvloop.run(_restore(settings))


async def _restore(settings: Settings) -> int:
    if settings.checkpoint_url is None:
        raise Invalid(Fault((variable("checkpoint_url"),), "is required: there is nothing to restore from", "missing"))
    async with open_stores(settings) as (stores, _):
        await check_start(stores.redis, stores.seal)
        vouching = vouching_of(settings, stores, Clock(), sources=list, is_manual=False)
        assert vouching is not None  # noqa: S101 - there is a URL
        await vouching.compare()
        said: str | None = None
        while not vouching.is_settled:
            if vouching.trouble != said:
                said = vouching.trouble
                print(said, flush=True)
            await asyncio.sleep(LOOK_S)
            await vouching.compare()
    print(_told(vouching.restored))
    return 0


def _told(restored: Restored | None) -> str:
    if restored is None:
        return "Redis has everything that the checkpoint has. Nothing was changed."
    taken = datetime.fromtimestamp(restored.taken_ms / 1000, UTC).isoformat(timespec="seconds")
    lines = [f"Restored from the checkpoint of {taken}:"]
    lines += [f"  {count} x {kind}" for kind, count in sorted(restored.objects.items())]
    lines += [f"  {count} x {kind} deleted" for kind, count in sorted(restored.deleted.items())]
    lines += [f"  {route} is polled from behind rowId {row_id}" for route, row_id in sorted(restored.routes.items())]
    lines += [f"  NOT restored: {name}, because {why}" for name, why in sorted(restored.refused.items())]
    return "\n".join(lines)
