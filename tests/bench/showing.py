"""The sandbox, noting when it showed each row first: `python -m tests.bench.showing PORT FILE ROWS_PER_SECOND`.

`GET /first-shown` gives one line for each row: its rowId, and the ns of the monotonic clock just before the answer that
shows it was handed to the server.
"""

import re
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvicorn

from relay.sandbox.app import create_sandbox
from relay.sandbox.config import SandboxConfig
from tests.bench.upstream import API_KEY, IGRP

ROW_ID = re.compile(rb'^\{"rowId":"(\d+)"|"rowId":"(\d+)"', re.MULTILINE)
Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]


class Showing:
    """An ASGI application around the sandbox's."""

    def __init__(self, sandbox: Any) -> None:
        self._sandbox = sandbox
        self._shown_ns: dict[bytes, int] = {}

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        """Answer one request."""

        async def note_and_send(message: Message) -> None:
            now_ns = time.monotonic_ns()
            await send(message)
            for first, other in ROW_ID.findall(message.get("body", b"")):
                self._shown_ns.setdefault(first or other, now_ns)

        if scope["type"] == "http" and scope["path"] == "/first-shown":
            body = b"\n".join(b"%b %d" % entry for entry in self._shown_ns.items())
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body})
        else:
            await self._sandbox(scope, receive, note_and_send)


def main(port: int, file: Path, rate: float) -> None:
    """Serve until a signal."""
    sandbox = create_sandbox(
        SandboxConfig(file=file, rows=None, rate=rate, igrp=IGRP, api_key=API_KEY, record_shown=False)
    )
    uvicorn.run(Showing(sandbox), port=port, log_level="warning", access_log=False, lifespan="off")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
