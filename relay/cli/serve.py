"""`relay serve`: the REST API on RELAY_HOST and RELAY_PORT."""

import argparse
import os

import structlog

from relay.api.app import create_app
from relay.cli.serving import listen
from relay.config import load
from relay.observability import setup_logging


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """Everything about the API is a setting: there are no arguments."""


def run(_args: argparse.Namespace) -> int:
    """Serve until a signal; raises Invalid for wrong settings."""
    settings = load(os.environ)
    setup_logging(settings.log_format, settings.log_level)
    structlog.get_logger().info("api_starting", host=settings.host, port=settings.port)
    return listen(create_app(settings), host=settings.host, port=settings.port)
