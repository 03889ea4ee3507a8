"""`relay serve`: the REST API on RELAY_HOST and RELAY_PORT."""

import argparse
import dataclasses
import os

import structlog
import uvloop

from relay.api.app import create_app
from relay.config import Settings, load
from relay.domain.model import Secret
from relay.observability import setup_logging
from relay.serving import listen
from relay.store.connection import connect
from relay.wiring import check_server, server_url


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """Everything about the API is a setting: there are no arguments."""


def run(_args: argparse.Namespace) -> int:
    """Serve until a signal; raises Invalid for wrong settings, StoreUnavailable when no embedded server starts."""
    settings = load(os.environ)
    setup_logging(settings.log_format, settings.log_level)
    return uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    # Opened out here, so that what is wrong with an embedded server is told in one line, and not as a failed start-up.
    async with server_url(settings) as url:
        redis = connect(url)
        try:
            await check_server(redis)
        finally:
            await redis.aclose()
        app = create_app(dataclasses.replace(settings, redis_url=Secret(url)))
        structlog.get_logger().info("api_starting", host=settings.host, port=settings.port, setting="RELAY_PORT")
        return await listen(app, host=settings.host, port=settings.port, setting="RELAY_PORT")
