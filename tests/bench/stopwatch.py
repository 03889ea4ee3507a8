"""A receiver that notes when the first byte of each callback came: `python -m tests.bench.stopwatch PORT`.

What goes to a path below `/never` is read and not answered. `GET /arrivals` gives one line for each callback: its path,
its rowId, and the ns of the machine's monotonic clock, which is the same for every process.
"""

import asyncio
import re
import sys
import time
from typing import cast

import uvloop

HEAD_END = b"\r\n\r\n"
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
ROW_ID = re.compile(rb'"rowId":"(\d+)"')
TAKEN = b"HTTP/1.1 204 No Content\r\n\r\n"


class Stopwatch(asyncio.Protocol):
    """One connection; all share the list of arrivals."""

    def __init__(self, arrivals: list[bytes]) -> None:
        self._arrivals = arrivals
        self._received = b""
        self._began_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection for as long as the other side does."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Note the time of a request's first byte; answer when it is complete."""
        if not self._received:
            self._began_ns = time.monotonic_ns()
        self._received += data
        end = self._received.find(HEAD_END)
        if end < 0:
            return
        length = LENGTH.search(self._received, 0, end)
        if len(self._received) >= end + len(HEAD_END) + (int(length[1]) if length else 0):
            request, self._received = self._received, b""
            self._answer(request)

    def _answer(self, request: bytes) -> None:
        method, path, _ = request.split(b" ", 2)
        if method == b"GET":
            body = b"\n".join(self._arrivals) if path == b"/arrivals" else b""
            self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
            return
        row_id = ROW_ID.search(request)
        self._arrivals.append(b"%b %b %d" % (path, row_id[1] if row_id else b"0", self._began_ns))
        if not path.startswith(b"/never"):
            self._transport.write(TAKEN)


async def serve(port: int) -> None:
    """Listen until the process is ended."""
    arrivals: list[bytes] = []
    server = await asyncio.get_running_loop().create_server(lambda: Stopwatch(arrivals), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
