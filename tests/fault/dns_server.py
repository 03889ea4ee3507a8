"""A name server that answers what a test tells it to, or not at all."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from itertools import count
from typing import Any, cast

A, CNAME, AAAA = 1, 5, 28
NOERROR, SERVFAIL, NXDOMAIN, WILL_NOT = 0, 2, 3, 5

Records = Sequence[str]
"""Addresses as text, or one other name: a CNAME, whose own records are added to the answer."""

Zone = Callable[[int], Records | int | None]
"""From the number of the look-up, counted from 0, to its records, an error code, or None: no answer at all."""


class DnsServer(asyncio.DatagramProtocol):
    """Answers A and AAAA from `zones`; names it does not know do not exist. `asked` counts look-ups of each name."""

    def __init__(self) -> None:
        self.zones: dict[str, Zone] = {}
        self.ttl_s = 0
        self.asked: dict[str, int] = {}
        self._turns: dict[tuple[str, int], count[int]] = {}

    def always(self, name: str, *records: str) -> None:
        """Give a name the same records each time."""
        self.zones[name] = lambda _: records

    def drop(self, name: str) -> None:
        """Never answer for a name."""
        self.zones[name] = lambda _: None

    def fail(self, name: str, code: int = SERVFAIL) -> None:
        """Answer with an error."""
        self.zones[name] = lambda _: code

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the socket to answer on."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """Answer one question."""
        name, kind, end = _question(data)
        self.asked[name] = self.asked.get(name, 0) + (kind == A)
        turn = next(self._turns.setdefault((name, kind), count()))
        zone = self.zones.get(name, lambda _: NXDOMAIN)
        records = zone(turn)
        if records is None:
            return
        code, answers = (
            (records, []) if isinstance(records, int) else (NOERROR, self._answers(name, kind, records, turn))
        )
        head = data[:2] + (0x8580 | code).to_bytes(2) + bytes([0, 1]) + len(answers).to_bytes(2) + bytes(4)
        self._transport.sendto(head + data[12:end] + b"".join(answers), addr)

    def _answers(self, name: str, kind: int, records: Records, turn: int) -> list[bytes]:
        answers = []
        for record in records:
            try:
                address = ip_address(record)
            except ValueError:
                following = self.zones.get(record, lambda _: ())(turn)
                assert isinstance(following, Sequence)
                answers.append(self._record(name, CNAME, _encode(record)))
                answers += self._answers(record, kind, following, turn)
            else:
                if kind == (A if address.version == 4 else AAAA):
                    answers.append(self._record(name, kind, address.packed))
        return answers

    def _record(self, name: str, kind: int, data: bytes) -> bytes:
        return _encode(name) + kind.to_bytes(2) + bytes([0, 1]) + self.ttl_s.to_bytes(4) + len(data).to_bytes(2) + data


def _question(data: bytes) -> tuple[str, int, int]:
    labels, at = [], 12
    while size := data[at]:
        labels.append(data[at + 1 : at + 1 + size].decode().lower())
        at += size + 1
    return ".".join(labels), int.from_bytes(data[at + 1 : at + 3]), at + 5


def _encode(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


@asynccontextmanager
async def dns_server() -> AsyncIterator[tuple[DnsServer, str]]:
    """Run one on a free port of this machine; gives it and its `address:port`."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(DnsServer, local_addr=("127.0.0.1", 0))
    try:
        yield server, "{}:{}".format(*transport.get_extra_info("sockname"))
    finally:
        transport.close()
