"""`relay worker`: one worker process. It polls sources, sends callbacks, and answers /health on RELAY_WORKER_PORT."""

import argparse
import os

from relay.cli.environment import warn_of_ignored
from relay.config import load
from relay.observability import catch_strays, setup_logging
from workers.main import run as run_worker


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """Everything about a worker is a setting: there are no arguments."""


def run(_args: argparse.Namespace) -> int:
    """Work until a signal; raises Invalid for wrong settings, StoreUnavailable when there is no Redis."""
    settings = load(os.environ)
    setup_logging(settings.log_format, settings.log_level)
    catch_strays()
    warn_of_ignored(os.environ)
    return run_worker(settings)
