"""`relay sandbox`: the stand-in for the upstream's reports API, on this machine."""

import argparse
import signal
import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn

from relay.cli.arguments import amount, natural, port
from relay.sandbox import journeys
from relay.sandbox.app import create_sandbox
from relay.sandbox.config import SandboxConfig
from relay.sandbox.hazards import Hazard, Name, read_switch

ROWS_PER_SECOND = 5.0
PATIENCE_S = 2
"""How long a body that is being sent may hold up the end."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `relay sandbox`."""
    default = SandboxConfig()
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=port, default=8090, help="port to listen on; 0: any free port (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=default.seed, help="number that determines the rows (default: %(default)s)"
    )
    parser.add_argument("--rows", type=natural, help="maximum number of rows to generate (default: no limit)")
    parser.add_argument("--rate", type=amount(), help=f"rows per second; 0: all at once (default: {ROWS_PER_SECOND:g})")
    parser.add_argument(
        "--live", action="store_true", help="date generated rows as if they happened now (default: from 2026-01-05)"
    )
    parser.add_argument(
        "--file", type=Path, metavar="FILE", help="NDJSON file to serve unchanged, instead of generated rows"
    )
    parser.add_argument("--igrp", type=int, default=default.igrp, help="the installation's id (default: %(default)s)")
    parser.add_argument("--api-key", default=default.api_key, help="API key for v2.1 (default: %(default)s)")
    parser.add_argument("--username", default=default.username, help="user name for v2 (default: %(default)s)")
    parser.add_argument("--password", default=default.password, help="password for v2 (default: %(default)s)")
    parser.add_argument(
        "--first-row-id", type=int, default=default.first_row_id, help="first rowId (default: %(default)s)"
    )
    parser.add_argument(
        "--hazard",
        action="append",
        default=[],
        type=_switch,
        metavar="NAME,probability=P,next=N,seconds=S,above=N",
        help=f"switch a hazard on (repeatable); names: {', '.join(Name)}",
    )
    parser.add_argument("--no-record", action="store_true", help="do not record which rows were shown")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT. The first line printed is the URL."""
    try:
        app = create_sandbox(_config(args))
        listener = socket.create_server((args.host, args.port), family=_family(args.host))
    except (ValueError, OSError) as error:
        print(f"relay sandbox: {error}", file=sys.stderr)
        return 2
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=PATIENCE_S)
    )
    # The server's own handlers come a moment after the first line, and raise the signal once more at the end.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.handle_exit)
    host = f"[{args.host}]" if listener.family == socket.AF_INET6 else args.host
    print(f"http://{host}:{listener.getsockname()[1]}", flush=True)
    server.run(sockets=[listener])
    return 0


def _config(args: argparse.Namespace) -> SandboxConfig:
    rate = args.rate
    if rate is None and args.file is None:
        rate = ROWS_PER_SECOND
    return SandboxConfig(
        **(_happening_now(rate, args.file) if args.live else {}),
        seed=args.seed,
        rows=args.rows,
        rate=rate or None,
        file=args.file,
        igrp=args.igrp,
        api_key=args.api_key,
        username=args.username,
        password=args.password,
        first_row_id=args.first_row_id,
        hazards=dict(args.hazard),
        record_shown=not args.no_record,
    )


def _happening_now(rate: float | None, file: Path | None) -> dict[str, Any]:
    """The start and the pace of rows that happen while they are shown, `rate` a second.

    Raises ValueError for rows of a file, which have their own times, and for rows that are all there from the start.
    """
    if file or not rate:
        raise ValueError("--live requires --rate above 0, and cannot be used with --file")
    pace = rate / journeys.ROWS_PER_SECOND
    start = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=journeys.WARM_UP_S / pace)
    return {"start": start, "pace": pace}


def _switch(text: str) -> tuple[Name, Hazard]:
    try:
        return read_switch(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
