"""`relay serve`: the REST API on RELAY_HOST and RELAY_PORT."""

import argparse
import asyncio
import dataclasses
import os
import signal

import structlog
import uvloop

from relay.api.app import create_app
from relay.cli.environment import warn_of_ignored
from relay.config import Settings, load
from relay.domain.model import Secret
from relay.leaving import Leaving
from relay.observability import catch_strays, setup_logging
from relay.serving import listen, open_port
from relay.starting import check_start
from relay.wiring import open_stores, server_url
from relay.wiring_metrics import open_metrics_port

log = structlog.get_logger()

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """Everything about the API is a setting: there are no arguments."""


def run(_args: argparse.Namespace) -> int:
    """Serve until a signal; raises Invalid for wrong settings, StoreUnavailable when no embedded server starts."""
    settings = load(os.environ)
    setup_logging(settings.log_format, settings.log_level)
    catch_strays()
    warn_of_ignored(os.environ)
    try:
        return uvloop.run(_serve(settings))
    except asyncio.CancelledError:
        return 0  # It was told to end while it started, and closed what it had opened.


async def _serve(settings: Settings) -> int:
    loop, starting = asyncio.get_running_loop(), asyncio.current_task()
    assert starting is not None  # noqa: S101 - this is a task
    for sign in SIGNALS:
        loop.add_signal_handler(sign, starting.cancel)
    # The port comes first. The server is opened out here, so that a fault of it is reported in one line.
    with (
        open_port(settings.host, settings.port, setting="RELAY_PORT") as listener,
        open_metrics_port(settings) as metrics_port,
    ):
        async with server_url(settings) as url:
            is_embedded, settings = settings.redis_url is None, dataclasses.replace(settings, redis_url=Secret(url))
            async with open_stores(settings) as (stores, _):
                await check_start(stores.redis, stores.seal, is_embedded=is_embedded)
            leaving = Leaving(settings.shutdown_delay_seconds)
            app = create_app(settings, metrics_port=metrics_port, leaves=leaving.is_told)
            log.info("api_starting", host=settings.host, port=settings.port)
            for sign in SIGNALS:
                loop.remove_signal_handler(sign)
            code = await listen(app, listener, leaving=leaving)
            log.info("api_ended", code=code)
            return code
