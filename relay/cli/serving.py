"""Running an ASGI application until a signal says stop, for every command that listens."""

import contextlib
import signal
import sys
from types import FrameType
from typing import Any

import uvicorn


def listen(app: Any, *, host: str, port: int, drain_s: int = 10, lifespan: bool = True) -> int:
    """Serve `app` until SIGINT or SIGTERM, give open requests `drain_s` seconds, and return 0; 1 if it cannot start."""
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
            timeout_graceful_shutdown=drain_s,
            lifespan="on" if lifespan else "off",
        )
    )
    with contextlib.suppress(SystemExit):  # Of a signal, or of uvicorn, which has logged why it cannot start.
        server.run()
    return 0 if server.started else 1


def _leave(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)
