"""Server-Sent Events, as far as the relay sends them. Pure: bytes in, events out."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from relay.cli.faults import Refusal

LONGEST_LINE = 1 << 20


def events_of(chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The JSON object of each event of a stream, however the stream is cut. Raises Refusal for an endless line."""
    rest, data = b"", list[bytes]()
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in (each.removesuffix(b"\r") for each in lines):
            if line.startswith(b"data:"):
                data.append(line.removeprefix(b"data:").removeprefix(b" "))
            elif not line and data:
                yield _object(b"\n".join(data))
                data = []
        if len(rest) + sum(map(len, data)) > LONGEST_LINE:
            raise Refusal("the stream has an event of more than 1 MiB: is it that of a relay?")


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Refusal("the stream has an event that is not a JSON object: is it that of a relay?")
    return found
