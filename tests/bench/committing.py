"""The commit script alone: rows that are ready to be stored, into so many lanes."""

import time
from itertools import islice

from relay.domain.model import EndpointId, SourceUid
from relay.store.pages import RowCommit, first_prefix
from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.flows import fresh_source
from tests.bench.ground import ROUTE, Ground, ground
from tests.bench.judging import NOW_MS, commits

PART = "commit"
TEXT = "the script that stores a page, with rows that are judged already"
ROWS = 10_000
LANES = (1, 10, 100, 10_000)


async def run(bench: Bench) -> None:
    """Measure for each number of lanes that every row goes to; the ratio is lane entries to those with one lane."""
    bench.report.begin(PART, TEXT)
    paces: dict[int, list[float]] = {}
    async with ground(bench.own_folder("c")) as store:
        for _ in range(bench.runs):
            for count in LANES:
                paces.setdefault(count, []).append(await _pace(bench, store, count))
    one = sorted(paces[1])[len(paces[1]) // 2]
    for count, values in paces.items():
        bench.report.add(
            Figure(
                PART,
                f"{count:,} lane{'s'[: count > 1]}",
                values,
                "rows/s",
                ratio=sorted(values)[len(values) // 2] * count / one,
                baseline="the entries of one lane",
                note=f"{sorted(values)[len(values) // 2] * count:,.0f} lane entries/s",
            )
        )


async def _pace(bench: Bench, store: Ground, lanes: int) -> float:
    wanted = [(EndpointId(f"ep_{number}"), 0) for number in range(lanes)]
    async with fresh_source(store, "http://127.0.0.1:9", paused=True) as source:
        rows = commits(bench.rows.lines(max(1, bench.size(ROWS) // lanes)), lambda *_: wanted, source=source.uid)
        token = await store.stores.routes.take(source.uid)
        assert token is not None
        version = await store.version()
        waiting = iter(rows)
        began = time.perf_counter()
        while page := list(islice(waiting, 1000)):
            while page:
                page = await _commit(store, source.uid, page, token=token, version=version)
        return len(rows) / (time.perf_counter() - began)


async def _commit(store: Ground, uid: SourceUid, page: list[RowCommit], *, token: int, version: int) -> list[RowCommit]:
    prefix = first_prefix(page)
    await store.stores.pages.commit(
        uid, ROUTE, prefix, space="t", cursor=prefix[-1].row_id, token=token, version=version, now_ms=NOW_MS
    )
    return page[len(prefix) :]
