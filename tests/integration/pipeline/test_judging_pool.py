"""Judging processes: the same results as in place, whatever happens to a process."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop

from relay.domain.model import SourceUid
from relay.domain.page_judging import Sighting, judge_rows
from relay.domain.parsing import peek_row_id
from relay.domain.telling import Facts, facts
from relay.pipeline import judges as judges_module
from relay.pipeline.judges import Judges, default_processes, judge_in_steps
from relay.pipeline.lines import read_lines
from relay.processes import pool
from relay.store.event_form import PACKING, pack_event
from tests.fakes.upstream import make_row
from tests.integration.pipeline.rig import UK, Rig, until
from tests.patience import PATIENCE_S

OF = facts(SourceUid("uk"), 1, route="all", routes=("all",), space="t", now_ms=1_700_000_000_000)
COLUMNS = frozenset(("act", "callDuration"))
PADDING = "x" * 2000


def sightings(*lines: bytes) -> list[Sighting]:
    return [Sighting(peek_row_id(line) or 1, 100 + at, line) for at, line in enumerate(lines)]


def rows(first: int, count: int, **columns: str) -> list[bytes]:
    return [msgspec.json.encode(make_row(first + n, c_x=PADDING, **columns)) for n in range(count)]


@asynccontextmanager
async def judges(processes: int = 1) -> AsyncIterator[Judges]:
    """Judges whose processes are ready."""
    some = Judges(processes)
    try:
        while len(some.pids) < processes:
            # A page that comes while none is ready is judged in place.
            await asyncio.gather(*(some.judge(OF, sightings(*rows(1, 50)), {}, None) for _ in range(processes)))
            await asyncio.sleep(0.01)
        yield some
    finally:
        await some.aclose()


def is_running(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


async def test_a_process_finds_what_is_found_in_place() -> None:
    """New, changed, volatile, repaired and broken rows, with numbers that have digits: events, knowledge and faults."""
    first = judge_rows(OF, sightings(*rows(1, 60)), {}, None, pack=pack_event)
    known = {row.row_id: row.seen for row in first.rows}
    before = {row.number: PACKING.unpack(row.event) for row in first.rows}
    lines = [
        *rows(1, 20),
        *rows(21, 20, lat="1.10", callDuration="62"),
        *rows(41, 5, chName="renamed"),
        *rows(61, 20, notes='[{"text":"a","createDatetime":"2018-01-16 13:20:11"}]'),
        b'{"rowId":"90","act":"call","c_x":"a\tb\xff"}',
        b'{"rowId":"91","act":oops}',
        b'{"rowId":92,"act":"call","rowId":93}',
    ]
    seen = [msgspec.structs.replace(each, known=known.get(each.row_id, b"")) for each in sightings(*lines)]
    async with judges() as some:
        for told in ({}, before):
            pooled = await some.judge(OF, seen, told, COLUMNS)
            assert pooled == await judge_in_steps(OF, seen, told, COLUMNS)
            assert (len(pooled.changed), len(pooled.faults)) == (0 if told else 20, 2)
        assert some.pids


async def test_small_pages_need_no_process() -> None:
    """A handful of rows is judged at once, and starts nothing."""
    some = Judges(1)
    judgement = await some.judge(OF, sightings(*rows(1, 5)), {}, None)
    assert (len(judgement.rows), some.pids) == (5, [])
    await some.aclose()


async def test_a_process_that_dies_is_replaced_and_its_rows_are_judged_in_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed while it works, or while it waits: the rows are judged, and another process does the next page."""
    in_place: list[int] = []

    async def counted(of: Facts, seen: list[Sighting], *rest: object) -> object:
        in_place.append(len(seen))
        return await judge_in_steps(of, seen, *rest)  # type: ignore[arg-type]

    async with judges() as some:
        monkeypatch.setattr(judges_module, "judge_in_steps", counted)
        (pid,) = some.pids
        os.kill(pid, signal.SIGSTOP)
        judging = asyncio.create_task(some.judge(OF, sightings(*rows(1, 100)), {}, None))
        await asyncio.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
        assert len((await judging).rows) == 100
        assert in_place == [100]
        async with asyncio.timeout(PATIENCE_S):
            while not some.pids:
                await some.judge(OF, sightings(*rows(1, 50)), {}, None)
                await asyncio.sleep(0.01)
        assert some.pids != [pid]
        in_place.clear()
        os.kill(some.pids[0], signal.SIGKILL)
        await until(lambda: not is_running(pid))
        assert len((await some.judge(OF, sightings(*rows(1, 100)), {}, None)).rows) == 100


async def test_a_process_that_is_stuck_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """It neither answers nor ends: after a while the rows are judged in place, and the process is killed."""
    async with judges() as some:
        (pid,) = some.pids
        os.kill(pid, signal.SIGSTOP)
        monkeypatch.setattr(pool, "ANSWER_WITHIN_S", 0.2)
        assert len((await some.judge(OF, sightings(*rows(1, 100)), {}, None)).rows) == 100
        await until(lambda: not is_running(pid))


async def test_a_cancelled_page_does_not_leave_its_answer_to_the_next() -> None:
    """A slice ends in the middle of a page: the next page gets its own rows."""
    async with judges() as some:
        judging = asyncio.create_task(some.judge(OF, sightings(*rows(1, 200)), {}, None))
        await asyncio.sleep(0.005)
        judging.cancel()
        await asyncio.wait([judging])
        found = await some.judge(OF, sightings(*rows(501, 100)), {}, None)
        assert [row.row_id for row in found.rows] == list(range(501, 601))


async def test_no_page_is_lost_while_processes_die(rig: Rig) -> None:
    """Killed again and again while a page is taken in: each row is in the lane once, in order."""
    await rig.source()
    endpoint, token = await rig.endpoint(), await rig.routes.take(UK)
    assert token is not None
    async with judges(2) as some:

        async def kill() -> None:
            while True:
                for pid in some.pids:
                    os.kill(pid, signal.SIGKILL)
                await asyncio.sleep(0.05)

        killing = asyncio.create_task(kill())
        lines = await read_lines(rows(1, 3000))
        source, ids = rig.catalogue.sources[UK], range(1, 3001)
        ingest = rig.ingest(judges=some)
        assert await ingest.take_in(source, "all", lines, row_ids=ids, cursor=3000, token=token) == 3000
        killing.cancel()
    assert await rig.row_ids(endpoint) == list(ids)
    assert (await rig.state()).cursor == 3000


async def test_a_page_is_matched_with_filters_that_came_after_it_was_judged(rig: Rig) -> None:
    """The process kept only the columns that filters read then: the others are read from the event."""
    await rig.source()
    token = await rig.routes.take(UK)
    assert token is not None
    await rig.endpoint(filter={"act": "call"})
    made = []

    async def subscribe() -> None:
        made.append(await rig.endpoint(filter={"c_y": "7", "callDuration": 62}))

    async with judges() as some:
        lines = await read_lines(rows(1, 100, c_y="7", callDuration="62"))
        rig.redis.faults.interrupt(0, subscribe, only="commit_page")
        source, ids = rig.catalogue.sources[UK], range(1, 101)
        await rig.ingest(judges=some).take_in(source, "all", lines, row_ids=ids, cursor=100, token=token)
    assert await rig.row_ids(made[0]) == list(ids)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_process_has_no_settings_and_no_sockets(
    run: Callable[[Coroutine[Any, Any, None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its environment has no key, and its only socket is the one to the worker."""
    monkeypatch.setenv("RELAY_ADMIN_KEY", "a key that must stay here")
    monkeypatch.setenv("RELAY_REDIS_URL", "redis://:secret@127.0.0.1:1/0")
    run(_look_into_a_process())


async def _look_into_a_process() -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with server, judges() as some:
        (pid,) = some.pids
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        assert b"RELAY_" not in environment
        assert b"secret" not in environment
        open_files = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]
        assert sorted(name.partition(":")[0] for name in open_files) == ["/dev/null", "/dev/null", "socket"]


@pytest.mark.parametrize("state", ["idle", "stopped", "starting"])
async def test_processes_end_with_the_worker(state: str) -> None:
    """Whatever they do when the worker is told to end."""
    ending, some = asyncio.Event(), Judges(1)
    async with some.until(ending):
        await some.judge(OF, sightings(*rows(1, 50)), {}, None)
        judging = None
        if state != "starting":
            await until(lambda: some.pids)
        pids = some.pids
        if state == "stopped":
            os.kill(pids[0], signal.SIGSTOP)
            judging = asyncio.create_task(some.judge(OF, sightings(*rows(1, 100)), {}, None))
            await asyncio.sleep(0.02)
        ending.set()
        await until(lambda: not some.pids and not any(map(is_running, pids)))
        assert judging is None or len((await judging).rows) == 100
        assert len((await some.judge(OF, sightings(*rows(1, 100)), {}, None)).rows) == 100
        assert some.pids == []


def test_processes_end_when_their_worker_is_killed() -> None:
    """Nobody is left to end them: they see that the socket is closed."""
    program = (
        "import asyncio\n"
        "from tests.integration.pipeline.test_judging_pool import judges\n"
        "async def main():\n"
        "    async with judges() as some:\n"
        "        print(some.pids[0], flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        pid = next(int(line) for line in worker.stdout if line.strip().isdigit())
        assert is_running(pid)
        worker.kill()
    deadline = time.monotonic() + PATIENCE_S
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(pid)


@pytest.mark.parametrize(
    ("cores", "quota", "processes"),
    [(1, "max 100000", 0), (2, "max 100000", 1), (3, None, 2), (64, "max 100000", 2), (64, "100000 100000", 0),
     (64, "150000 100000", 1), (2, "400000 100000", 1), (4, "odd", 2)],
)  # fmt: skip
def test_one_core_stays_for_the_worker(
    cores: int, quota: str | None, processes: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The number of processes by default: of the cores that this container may use, one less, and at most two."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr(judges_module, "CPU_QUOTA", tmp_path / "cpu.max")
    if quota is not None:
        (tmp_path / "cpu.max").write_text(quota + "\n")
    assert default_processes() == processes
