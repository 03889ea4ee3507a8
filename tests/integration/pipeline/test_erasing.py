"""Erasing a person: nothing is left, a process may die at any command, and rows that come again bring nobody back."""

import base64
import re
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from msgspec import structs
from redis.asyncio import Redis

from relay.domain import envelope
from relay.domain.erasing_task import Asked, Task
from relay.domain.model import ApplicationId, Secret, StoredEvent
from relay.errors import StoreUnavailable
from relay.pipeline import erasing as module
from relay.pipeline.erasing import ErasingTurns
from relay.store import keys
from relay.store.applications import Applications
from relay.store.audit import Audit, Entry
from relay.store.chores import Chores
from relay.store.copying import Copying
from relay.store.erasing import Erasing
from relay.store.erasing_keys import ERASING
from relay.store.erasing_tasks import ErasingTasks
from relay.store.erasures import Erasures
from relay.store.events import Events
from relay.store.journal import Change
from relay.store.past_events import PastEvents
from relay.store.server import Server
from relay.store.vault import Vault
from tests.fakes.upstream import make_row
from tests.integration.books import dump
from tests.integration.pipeline.rig import UK, Rig, catch_up
from tests.integration.store.test_erasing import parts_of

pytestmark = pytest.mark.timeout(60)

ANNA, BOB = "+442079460958", "+442079460111"
DIGITS = b"2079460958"
ASKED_MS = round(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp() * 1000)
"""Two hours after the rows."""
YEAR_S = 365 * 86_400.0


class Desk:
    """Erases people in a rig, as workers do."""

    def __init__(self, rig: Rig, *, keep_s: float = 10 * YEAR_S, settle_s: float = 0.0) -> None:
        self.rig = rig
        self.tasks = ErasingTasks(rig.redis, rig.vault)
        self.erasures = Erasures(rig.redis, rig.vault, most=100)
        self.audit = Audit(rig.redis, retention_s=YEAR_S, most_bytes=10**6)
        self.turns = ErasingTurns(
            tasks=self.tasks,
            erasures=self.erasures,
            erasing=Erasing(rig.redis),
            audit=self.audit,
            configuration=rig.configuration,
            applications=Applications(rig.redis, rig.vault),
            server=Server(rig.redis),
            chores=Chores(rig.redis),
            settle_s=settle_s,
            keep_s=keep_s,
        )

    async def ask(self, number: str = ANNA, *, name: str = "qtask_1", at_ms: int = ASKED_MS, dry: bool = False) -> Task:
        sealed = self.tasks.sealed(name, Asked("phone", number))
        return await self.tasks.create(Task(id=name, sealed=sealed, created_ms=at_ms, updated_ms=at_ms, dry_run=dry))

    async def erase(self, number: str = ANNA, *, name: str = "qtask_1", at_ms: int = ASKED_MS) -> Task:
        await self.ask(number, name=name, at_ms=at_ms)
        while await self.turns.turn():
            pass
        await self.rig.catalogue.refresh()
        return await self.task(name)

    async def task(self, name: str = "qtask_1") -> Task:
        (found,) = [each for each in await self.tasks.all() if each.id == name]
        return found


@pytest.fixture
def desk(rig: Rig) -> Desk:
    return Desk(rig)


async def places(rig: Rig) -> list[str]:
    """The keys that have the digits of the number, also condensed."""
    return await places_in(rig.eyes)


async def places_in(redis: Redis) -> list[str]:
    """The same of a server."""
    found = []
    for name, value in (await dump(redis)).items():
        raw = name.encode() + b" " + b" ".join(parts_of(value))
        if DIGITS in re.sub(rb"[\s().\-/]", b"", raw):
            found.append(name)
    return found


async def of_row(rig: Rig, row_id: int) -> list[StoredEvent]:
    """The events of a row, the oldest first."""
    newest = int(await rig.eyes.get(keys.sequence(UK)) or 0)
    events = await Events(rig.eyes).read(UK, range(1, newest + 1))
    return [event for _, event in sorted(events.items()) if event.row_id == str(row_id)]


async def test_rows_that_come_again_bring_nobody_back(rig: Rig, desk: Desk) -> None:
    """A changed row and one that is late are noted without their content, and later rows are new data."""
    await rig.source()
    crm, polling = await rig.endpoint(), rig.poller()
    rig.upstream.show(make_row(1, num=ANNA), make_row(3, num=BOB))
    await catch_up(rig, polling)
    assert await rig.row_ids(crm) == [1, 3]
    task = await desk.erase()
    assert (task.phase, task.sealed, task.found.events) == ("finished", "", 1)
    assert await places(rig) == []

    rig.upstream.show(
        make_row(1, num=ANNA, callRating="5"),
        make_row(2, notes='call 020 7946 0958 back, "soon"', triggerDatetime="2026-11-24 11:59:00"),
        make_row(3, num=BOB, callRating="5"),
        make_row(4, num=ANNA, triggerDatetime="2026-11-24 12:01:00"),
    )
    rig.clock.advance(61)
    await catch_up(rig, polling)
    told = await rig.waiting(crm)
    # The delivery of the first event waits, and ends without a request.
    assert sorted(each["rowId"] for each in told) == ["1", "3", "3", "4"]
    assert [each["trigger"]["num"] for each in told if each["rowId"] == "4"] == [ANNA]
    assert [envelope.is_expunged(event) for event in (*await of_row(rig, 1), *await of_row(rig, 2))] == [True] * 3
    assert await places(rig) == [keys.events(UK, 0)]


async def test_a_page_on_its_way_brings_nobody_back(rig: Rig, desk: Desk) -> None:
    """It was compared before the person was erased, so its commit is refused, and it is compared again."""
    await rig.source()
    crm, polling = await rig.endpoint(), rig.poller()
    rig.upstream.show(make_row(1, num=ANNA), make_row(2, num=BOB))

    async def meanwhile() -> None:
        other = Desk(rig)
        await other.ask()
        while await other.turns.turn():
            pass

    rig.redis.faults.interrupt(0, meanwhile, only="commit_page")
    await catch_up(rig, polling)
    assert rig.redis.faults.met == 1
    assert await rig.row_ids(crm) == [2]
    assert await places(rig) == []
    assert [envelope.is_expunged(event) for event in await of_row(rig, 1)] == [True]


async def test_a_line_that_cannot_be_read_comes_again_without_its_text(rig: Rig, desk: Desk) -> None:
    """It is counted and shown, so that the operator sees that it is there."""
    await rig.source()
    await rig.endpoint()
    polling = rig.poller()
    rig.upstream.show_line(1, b'{"rowId":"1","num":"%s","broken' % ANNA.encode())
    rig.upstream.show(make_row(2))
    await catch_up(rig, polling)
    assert len(await rig.routes.quarantined(UK, 9)) == 1
    task = await desk.erase()
    assert (task.found.lines, await places(rig)) == (1, [])
    rig.clock.advance(61)
    await catch_up(rig, polling)
    assert [each["line"] for each in await rig.routes.quarantined(UK, 9)] == [""]
    assert await places(rig) == []


@pytest.mark.parametrize("takes_effect", [False, True])
async def test_a_worker_that_dies_at_any_command_leaves_nothing(
    rig: Rig, desk: Desk, takes_effect: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one continues where the last one wrote down that it was."""
    monkeypatch.setattr(module, "TURN_S", 0.0)
    monkeypatch.setattr(module, "BUCKETS_AT_ONCE", 1)
    await rig.source()
    await rig.endpoint()
    polling = rig.poller()
    rig.upstream.show(*(make_row(row_id, num=ANNA) for row_id in range(1, 300)))
    await catch_up(rig, polling)
    await desk.ask()
    monkeypatch.setattr(module, "TURN_S", 0.001)
    turns = 0
    while (await Desk(rig).task()).phase == "running":
        rig.redis.faults.after(turns % 60, takes_effect=takes_effect)
        with suppress(StoreUnavailable):
            await desk.turns.turn()
        rig.redis.faults.stop()
        turns += 1
        assert turns < 2000
    assert turns > 5
    assert await places(rig) == []
    task = await desk.task()
    assert (task.phase, task.sealed, task.found.events <= 299) == ("finished", "", True)
    assert len(await desk.erasures.all()) == 1


async def test_a_preview_counts_and_changes_nothing(rig: Rig, desk: Desk) -> None:
    """It keeps nobody out."""
    await rig.source()
    polling = rig.poller()
    await rig.endpoint()
    rig.upstream.show(make_row(1, num=ANNA), make_row(2, num=BOB))
    await catch_up(rig, polling)
    await desk.ask(dry=True)
    # The number is there as a part of the task, sealed, while it runs.
    before = {name: each for name, each in (await dump(rig.eyes)).items() if name != ERASING}
    while await desk.turns.turn():
        pass
    task = await desk.task()
    assert (task.phase, task.sealed, task.found.events, task.round) == ("finished", "", 1, 0)
    assert {name: each for name, each in (await dump(rig.eyes)).items() if name != ERASING} == before


async def test_what_is_cancelled_or_old_keeps_nobody_out(rig: Rig, desk: Desk) -> None:
    """A worker that begins a task at the moment when it is cancelled leaves the hashes to the next tidying."""
    await rig.source()
    await desk.erase()
    await desk.erase(BOB, name="qtask_2")
    assert rig.catalogue.erased is not None
    task = await desk.task("qtask_2")
    await desk.tasks.advance(task, structs.replace(task, phase="cancelled"))
    await desk.turns.tidy()
    assert [each.id for each in await desk.erasures.all()] == ["qtask_1"]
    await Desk(rig, keep_s=1.0).turns.tidy()
    await rig.catalogue.refresh()
    assert (await desk.erasures.all(), rig.catalogue.erased) == ([], None)


async def test_the_hashes_outlive_the_key_that_sealed_them(rig: Rig, desk: Desk) -> None:
    """They are sealed again under a new key that stands before the old one."""
    await rig.source()
    await desk.erase()
    old, new = Secret(base64.b64encode(bytes(32)).decode()), Secret(base64.b64encode(b"n" * 32).decode())
    rig.vault = Vault([new, old])
    await Desk(rig).turns.tidy()
    rig.vault = Vault([new])
    assert [each.id for each in await Desk(rig).erasures.all()] == ["qtask_1"]


async def test_the_second_round_waits_for_what_is_on_its_way(rig: Rig) -> None:
    """An answer to a callback can be recorded after the first round."""
    desk = Desk(rig, settle_s=3600)
    await rig.source()
    await desk.ask()
    assert await desk.turns.turn()
    assert await desk.turns.turn()
    task = await desk.task()
    assert (task.phase, task.round, task.sealed != "") == ("running", 1, True)


async def test_a_damaged_stream_keeps_no_other_task_from_its_end(
    rig: Rig, desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its own task waits until the stream is repaired. The log does not quote the error."""
    await rig.source()
    await desk.ask()
    await rig.eyes.set(keys.quarantine(UK), "no hash")
    posts = Task(
        id="qtask_2",
        sealed=desk.tasks.sealed("qtask_2", Asked("phone", ANNA)),
        created_ms=1,
        updated_ms=1,
        application=ApplicationId("app_1"),
        sources=(),
    )
    await desk.tasks.create(posts)
    for _ in range(4):
        await desk.turns.turn()
    assert [(task.id, task.phase) for task in await desk.tasks.all()] == [
        ("qtask_2", "finished"),
        ("qtask_1", "running"),
    ]
    assert "WRONGTYPE" not in capsys.readouterr().out
    await rig.eyes.delete(keys.quarantine(UK))
    while await desk.turns.turn():
        pass
    assert (await desk.task()).phase == "finished"


async def test_an_identity_that_no_key_opens_is_told(rig: Rig, desk: Desk) -> None:
    """The task fails, and says what to do."""
    task = await desk.ask()
    await desk.tasks.advance(task, structs.replace(task, sealed="v1.x.y.z"))
    await desk.turns.turn()
    failed = await desk.task()
    assert (failed.phase, failed.sealed) == ("failed", "")
    assert "RELAY_ENCRYPTION_KEY" in str(failed.error)


async def test_the_audit_log_keeps_its_entries_without_the_number(rig: Rig, desk: Desk) -> None:
    """A path can have an eventId, and a filter can have a number."""
    name = "message/call-02079460958"
    entry = Entry(
        at_ms=ASKED_MS, principal="admin", name="admin", action="message.resend", address="::1", request_id="r",
        method="POST", path=f"/api/v1/app/crm/{name}/endpoint/all/resend", status=202,
        changes=[Change(name, None, {"filter": {"num": ANNA, "n": [442079460958]}})],
    )  # fmt: skip
    await desk.audit.write(entry)
    size = await rig.eyes.get("relay:{config}:audit_bytes")
    await rig.source()
    task = await desk.erase()
    assert (task.found.entries, await places(rig)) == (1, [])
    assert await rig.eyes.get("relay:{config}:audit_bytes") == size
    ((_, kept),) = await desk.audit.page("all", edge=None, newer=True, limit=9)
    assert kept is not None
    assert (kept.action, kept.status, "*" in kept.path) == ("message.resend", 202, True)


async def test_an_event_that_becomes_a_past_event_meanwhile_is_not_brought_back(rig: Rig, desk: Desk) -> None:
    """Upkeep read it with its content, and writes it down after it was erased."""
    await rig.source()
    await rig.endpoint()
    polling = rig.poller()
    rig.upstream.show(make_row(1, num=ANNA), make_row(2, num=BOB))
    await catch_up(rig, polling)
    packed = {int(n): each for n, each in (await rig.eyes.hgetall(keys.events(UK, 0))).items()}  # type: ignore[misc]

    async def meanwhile() -> None:
        await desk.erase()

    rig.redis.faults.interrupt(0, meanwhile, only="keep_past")
    await PastEvents(rig.redis).keep(UK, 0, packed, newest_ms=1)
    assert rig.redis.faults.met == 1
    kept = await PastEvents(rig.redis).read(UK, [1, 2])
    assert [envelope.is_expunged(kept[number]) for number in (1, 2)] == [True, False]
    assert await places(rig) == []


async def test_an_emptied_store_keeps_an_erased_person_out(rig: Rig, desk: Desk) -> None:
    """The hashes are in the checkpoint, and are restored before the sources."""
    await rig.source()
    await rig.endpoint()
    await desk.erase()
    saved = await Copying(rig.redis).take()
    assert saved is not None
    await rig.eyes.flushall()
    rig.catalogue = rig.new_catalogue()
    assert set((await Copying(rig.redis).put_back(saved)).written) == {"source", "application", "endpoint", "erasure"}
    await rig.catalogue.refresh()
    rig.upstream.show(make_row(1, num=ANNA), make_row(2, num=BOB))
    await catch_up(rig, rig.poller())
    assert [envelope.is_expunged(event) for event in (*await of_row(rig, 1), *await of_row(rig, 2))] == [True, False]
    assert await places(rig) == []
