"""An endpoint whose order is changed again and again: nothing is left behind, and each order holds while it lasts."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from itertools import count, cycle, islice
from time import monotonic
from typing import NamedTuple

import msgspec

from relay.domain.model import Order
from tests.fault.case import Finding, case
from tests.fault.checker import Delivery, out_of_order_between
from tests.fault.ending import ended
from tests.fault.recorder import sometimes
from tests.fault.stage import Stage, stage
from tests.fault.upstream import GROUPS, Offered

NAME = "e00"
RATE = 60.0
KEYS = 10
WORKERS = 2
CHANGES = 41
EVERY_S = 1.0
SETTLES_S = 0.3
"""After a change: the workers hear of it, and what is on its way arrives."""
FAILING = 0.2
QUICK_RETRIES = (0.2,) * 50
QUIET_WITHIN_S = 40.0


class Kind(NamedTuple):
    """An order, and the field that it goes by."""

    order: Order
    key: str | None = None


KINDS = (Kind("unordered"), Kind("keyed", "c_key"), Kind("fifo"), Kind("keyed", "c_group"))


class Stretch(NamedTuple):
    """For how long an endpoint was of a kind."""

    kind: Kind
    begins: float
    ends: float


@case("order-changed", goal="G9", seconds=60)
async def order_changed(seed: int) -> AsyncIterator[Finding]:
    """Unordered, keyed, fifo, keyed otherwise: another order each second, and one in five callbacks fails."""
    async for finding in changing(seed, kinds=KINDS, failing=FAILING):
        yield finding


async def changing(seed: int, *, kinds: Sequence[Kind], failing: float) -> AsyncIterator[Finding]:
    """Change the order under load; `kinds` come round and round."""
    async with stage(seed) as on:
        await on.endpoint(NAME, sometimes(on.rng, failing, after_s=0.01), everything=True, retry_schedule=QUICK_RETRIES)
        for _ in range(WORKERS):
            await on.worker()
        load = asyncio.create_task(_offer(on))
        stretches = [await _stretch(on, kind) for kind in islice(cycle(kinds), CHANGES)]
        load.cancel()
        with suppress(asyncio.CancelledError):
            await load
        for finding in await ended(on, limit_s=QUIET_WITHIN_S, duplicates=0):
            yield finding
        for order in ("fifo", "keyed"):
            of_order = [stretch for stretch in stretches if stretch.kind.order == order]
            wrong = [each for stretch in of_order for each in _wrong(on, stretch)]
            note = f"in {len(of_order)} stretches, such as {wrong[:3]}"
            yield Finding(f"callbacks out of order while it was {order}", len(wrong), "==", 0, "", note)


async def _stretch(on: Stage, kind: Kind) -> Stretch:
    await on.stores.endpoints.change(
        on.application.id,
        on.endpoints[NAME].id,
        lambda current: msgspec.structs.replace(current, order=kind.order, order_key=kind.key),
    )
    begins = monotonic() + SETTLES_S
    await asyncio.sleep(EVERY_S)
    return Stretch(kind, begins, monotonic())


def _wrong(on: Stage, stretch: Stretch) -> list[Delivery]:
    keys = {each.row: _key(stretch.kind, each) for each in on.upstream.offered}
    return out_of_order_between(on.recorder.of(NAME), stretch.begins, stretch.ends, keys)


def _key(kind: Kind, row: Offered) -> str:
    if kind.key is None:
        return ""
    return row.key if kind.key == "c_key" else str(row.row % GROUPS)


async def _offer(on: Stage) -> None:
    began = monotonic()
    for number in count():
        on.upstream.offer(NAME, key=f"k{number % KEYS}")
        await asyncio.sleep(max(0.0, began + number / RATE - monotonic()))
