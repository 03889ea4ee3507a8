"""Asking several servers the same question: some may be away, and some may know less than others."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

from relay.store.own_connection import Address, use_own_connections

ASK_WITHIN_S = 1.0
"""One that takes longer is as good as away."""
OWN = {
    "socket_timeout": ASK_WITHIN_S,
    "socket_connect_timeout": ASK_WITHIN_S,
    "health_check_interval": 0,
    "protocol": 2,
    "db": 0,
}
"""Options of a connection that is there for one question."""

Question = Sequence[Sequence[str]]
"""Commands."""


class Told(NamedTuple):
    """What one server answered to each command."""

    by: Address
    answers: list[Any]


async def ask_each(
    addresses: Iterable[Address], question: Question, options: dict[str, Any]
) -> tuple[list[Told], list[RedisError]]:
    """Ask all of them at once, each over a connection of its own: the answers of a majority, or what there is in time.

    Gives also how others failed. `options` are those of a connection to any of them.
    """
    tasks = [asyncio.ensure_future(_ask(address, question, options)) for address in addresses]
    told, faults = list[Told](), list[RedisError]()
    try:
        async with asyncio.timeout(ASK_WITHIN_S):
            for each in asyncio.as_completed(tasks):
                try:
                    told.append(await each)
                except RedisError as fault:
                    faults.append(fault)
                if len(told) > len(tasks) // 2:
                    break
    except TimeoutError:
        pass
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return told, faults


async def _ask(address: Address, question: Question, options: dict[str, Any]) -> Told:
    host, port = address
    pool = ConnectionPool(**{**options, **OWN, "host": host, "port": port})
    use_own_connections(pool)
    connection = pool.make_connection()  # type: ignore[no-untyped-call]
    try:
        await connection.send_packed_command(connection.pack_commands(question))
        return Told(address, [await connection.read_response() for _ in question])
    finally:
        # Not a client's `aclose`, which a task that is cancelled does not get to the end of.
        await connection.disconnect(nowait=True)
