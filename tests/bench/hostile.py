"""A reports API that is out to fill its reader's memory, in a process of its own.

The first part of a path says what its rows are like, so that one process serves several sources.
"""

import asyncio
import gzip
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path

from relay.cli.demo.ports import free_port
from tests.bench.processes import child, listens

AT_ONCE = 256 << 10
LONG_BYTES = 1_000_000
_ROW_ID = re.compile(r"rowId-(gt|le)-value-(\d+)")
_LIMIT = re.compile(r"[?&]limit=(\d+)")

Row = Callable[[int], bytes]


def _padded(size: int) -> Row:
    """Rows with so many bytes of text in a column."""
    text = b"x" * size
    return lambda number: b'{"rowId":"%d","act":"call","c_text":"%s"}\n' % (number, text)


def _of(column: bytes, *, broken: bytes = b"") -> Row:
    """Rows of a megabyte that consist of one thing again and again; `broken` ends them, so that they need repair."""
    things = column * (LONG_BYTES // len(column))
    return lambda number: b'{"rowId":"%d","act":"call","c_list":[%s0]%s}\n' % (number, things, broken)


def _columns(number: int) -> bytes:
    """A megabyte of columns with a byte each."""
    columns = b"".join(b'"c_%d":"%d",' % (n, n % 10) for n in range(LONG_BYTES // 15))
    return b'{"rowId":"%d","act":"call",%s"c_":""}\n' % (number, columns)


SHAPES: dict[str, Row] = {
    "documented": _padded(2_200),
    "large": _padded(5_000),
    "small": lambda number: b'{"rowId":"%d"}\n' % number,
    "long": _padded(LONG_BYTES),
    "columns": _columns,
    "lists": _of(b"[],"),
    "decimals": _of(b"1.5,"),
    "objects": _of(b'{"a":1},'),
    "repaired": _of(b'"a\\x",', broken=b',"c_b":NaN'),
}


def _body(shape: str, *, after: int, until: int, limit: int, endless: bool) -> Iterator[bytes]:
    """The rows that were asked for, or all that there are, in pieces."""
    row, piece = SHAPES[shape], bytearray()
    for number in count(after + 1):
        if number > until or (number > after + limit and not endless):
            break
        piece += row(number)
        if len(piece) >= AT_ONCE:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        line = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split(" ")[1]
        bounds = dict(_ROW_ID.findall(line))
        limit = _LIMIT.search(line)
        _, shape, *how = line.split("/reports/")[0].split("/")
        head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n"
        head += b"content-encoding: gzip\r\n" if "gzip" in how else b""
        writer.write(head + b"\r\n")
        for piece in _body(
            shape,
            after=int(bounds.get("gt", 0)),
            until=int(bounds.get("le", 2**62)),
            limit=int(limit[1]) if limit else 1,
            endless="endless" in how,
        ):
            writer.write(gzip.compress(piece, 1) if "gzip" in how else piece)
            await writer.drain()
    writer.close()


async def _serve(port: int) -> None:
    async with await asyncio.start_server(_answer, "127.0.0.1", port) as server:
        await server.serve_forever()


@asynccontextmanager
async def hostile_upstream(folder: Path) -> AsyncIterator[str]:
    """Run one for as long as the block lasts; gives its URL. `/SHAPE` is a source, `/SHAPE/endless` ignores limits."""
    port = free_port()
    command = (sys.executable, "-m", "tests.bench.hostile", str(port))
    async with child("hostile", *command, folder=folder, ready=listens(port)):
        yield f"http://127.0.0.1:{port}"


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
