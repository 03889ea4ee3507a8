"""Running an ASGI application until a signal says stop, for every command that listens."""

import contextlib
import signal
import sys
from types import FrameType
from typing import Any

import uvicorn

DRAIN_S = 10
"""How long requests that are being answered may hold up the end."""


async def listen(app: Any, *, host: str, port: int, lifespan: bool = True) -> int:
    """Serve `app` until SIGINT or SIGTERM and return 0; 1 if it cannot start, after the reason was logged."""
    # uvicorn raises the signal again when it is done: without a handler the process would seem to be killed.
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=DRAIN_S,
            lifespan="on" if lifespan else "off",
        )
    )
    with contextlib.suppress(SystemExit):
        await server.serve()
    return 0 if server.started else 1


def _leave(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)
