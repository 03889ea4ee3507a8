"""Checkpoints, and what a worker does with a store that lost what it had: on a real server and in a real folder."""

from pathlib import Path

import pytest
import structlog
from msgspec.structs import replace

from relay.domain.checkpoint import FORM
from relay.domain.epoch import Epoch
from relay.domain.model import Endpoint, SourceUid
from relay.errors import CheckpointRefused, CheckpointUnavailable
from relay.outbound.objects import Objects
from relay.pipeline import checkpointing
from relay.pipeline.checkpoints import SLOTS
from relay.pipeline.vouching import LOOKING
from relay.store import keys
from relay.store.copying import Copying
from relay.store.epochs import new_id
from tests.integration.books import restore, snapshot
from tests.integration.pipeline.vouching_rig import KEY, OTHER_KEY, UK, Relay, source


async def test_a_new_store_begins_an_epoch_and_is_checkpointed(relay: Relay) -> None:
    """Everything that a new store needs stands in two copies; the configuration is written when it changes."""
    worker = relay.worker()
    assert worker.trouble == LOOKING
    assert not await worker.may_poll()
    await relay.look(worker)
    assert worker.trouble is None
    assert await worker.may_poll()
    await relay.fill()
    await relay.look(worker, times=2)
    heads = await relay.heads()
    assert set(heads.found) == set(SLOTS)
    newest = heads.newest
    assert newest is not None
    assert (newest.epoch, newest.routes[UK]["all"].cursor) == (await relay.epoch(), 500)
    assert newest.version == await Copying(relay.redis).version()
    assert {head.configuration for head in heads.found.values()} == {newest.configuration}
    saved = await relay.checkpoints().configuration(newest)
    assert saved.records == (await Copying(relay.redis).take() or saved).records
    assert b"https" not in b"".join(path.read_bytes() for path in relay.place.iterdir())


async def test_one_worker_writes_at_a_time(relay: Relay) -> None:
    """Each three seconds, whichever comes first."""
    workers = [relay.worker() for _ in range(3)]
    await relay.look(*workers)
    await relay.redis.delete(keys.upkeep("checkpoint"))
    before = (await relay.epoch()).beats
    for each in workers:
        await each.look()
    assert (await relay.epoch()).beats == before + 1


async def test_an_emptied_store_is_restored(relay: Relay) -> None:
    """By one of the workers that ran; the route continues from its mark, and everybody follows the new epoch."""
    workers = [relay.worker(), relay.worker()]
    await relay.look(*workers)
    endpoint = await relay.fill()
    await relay.look(*workers)
    first, version = await relay.epoch(), await Copying(relay.redis).version()
    await relay.redis.flushdb()
    for each in workers:
        assert not await each.vouch(version)
        assert not await each.may_poll()
    with structlog.testing.capture_logs() as logs:
        await relay.look(*workers, times=2)
    assert [each.trouble for each in workers] == [None, None]
    assert await workers[0].vouch(version)
    assert (await relay.epoch()).descends_from(first)
    assert (await relay.epoch()).id != first.id
    assert await relay.cursor() == 500
    assert [e.id for e in (await relay.stores.endpoints.page(endpoint.app_id, after=None, limit=9)).values] == [
        endpoint.id
    ]
    assert await relay.kinds() == ["store.restored"]
    assert [entry["event"] for entry in logs].count("store_restored") == 1
    assert await relay.redis.get(keys.subscriptions(UK)) is not None
    await relay.look(*workers)
    assert (await relay.heads()).epoch == await relay.epoch()


async def test_a_store_may_lose_that_it_was_restored(relay: Relay) -> None:
    """Before there is a checkpoint of it: it is restored anew, and whoever knew the first restored one follows."""
    workers = [relay.worker(), relay.worker()]
    await relay.look(*workers)
    await relay.fill()
    await relay.look(*workers)
    behind = await snapshot(relay.redis)
    await relay.endpoint()
    await relay.look(*workers)
    lives = set()
    for _ in range(3):
        await restore(relay.redis, behind)
        await relay.look(*workers)
        lives.add((await relay.epoch()).id)
        assert [each.trouble for each in workers] == [None, None]
    assert len(lives) == 3
    await relay.look(*workers)
    assert (await relay.heads()).epoch == await relay.epoch()


async def test_a_checkpoint_must_stand_still_first(relay: Relay) -> None:
    """A write that was under way when the store was lost is waited for."""
    worker = relay.worker()
    await relay.look(worker)
    await relay.fill()
    await relay.look(worker)
    await relay.redis.flushdb()
    worker._still_s = 60.0
    await relay.look(worker, times=2)
    assert "Redis is empty. It gets them back" in (worker.trouble or "")
    assert await relay.stores.epochs.read() is None
    worker._still_s = 0.0
    await relay.look(worker)
    assert worker.trouble is None


async def test_two_relays_with_one_checkpoint_disagree(relay: Relay, tmp_path: Path) -> None:
    """One works on an emptied server while the other still writes: the one whose store is behind ends, and says why."""
    worker = relay.worker()
    await relay.look(worker)
    await relay.fill()
    await relay.look(worker)
    full = await snapshot(relay.redis)
    await relay.redis.flushdb()
    empty = relay.worker(still_s=60.0)
    await empty.look()
    for _ in range(2):
        now = await snapshot(relay.redis)
        await restore(relay.redis, full)
        await relay.look(worker)
        full = await snapshot(relay.redis)
        await restore(relay.redis, now)
        if _ == 0:
            await empty.look()
    with pytest.raises(CheckpointRefused, match="two relays disagree: the server at RELAY_REDIS_URL is empty, while"):
        await empty.look()


async def test_another_relays_store_is_not_worked_with(relay: Relay) -> None:
    """The server was exchanged under a worker, for one that has its own epoch and another checkpoint."""
    worker = relay.worker()
    await relay.look(worker)
    await relay.redis.flushdb()
    for slot in SLOTS:
        (relay.place / slot).unlink(missing_ok=True)
    await relay.stores.epochs.begin(Epoch(id=new_id()), after=None)
    with pytest.raises(CheckpointRefused, match="this process worked with the store of epoch"):
        await relay.look(worker)


@pytest.mark.parametrize("has_epoch", [True, False])
async def test_another_relays_checkpoint_is_refused(relay: Relay, has_epoch: bool) -> None:
    """It is not restored into a store that has a configuration of its own, nor written over."""
    worker = relay.worker()
    await relay.look(worker)
    await relay.fill()
    await relay.look(worker)
    before = (await relay.heads()).newest
    await relay.redis.flushdb()
    await relay.stores.sources.put(SourceUid("mine"), lambda _: source("mine"))
    if has_epoch:
        await relay.stores.epochs.begin(Epoch(id=new_id()), after=None)
    with pytest.raises(CheckpointRefused, match=r"is another relay's .* Set RELAY_CHECKPOINT_URL to a place"):
        await relay.look(relay.worker())
    assert (await relay.heads()).newest == before
    assert await relay.stores.sources.uids() == ["mine"]


async def test_a_checkpoint_of_another_key_is_refused(relay: Relay) -> None:
    """At the start, with what to do; with the old key behind the new one it is read, and written with the new one."""
    worker = relay.worker()
    await relay.look(worker)
    await relay.fill()
    await relay.look(worker, times=2)
    with pytest.raises(CheckpointRefused, match=r"sealed with a key that is not in RELAY_ENCRYPTION_KEY.*Add the old"):
        await relay.look(relay.worker(key=OTHER_KEY))
    rotated = relay.worker(key=f"{OTHER_KEY},{KEY}")
    await relay.look(rotated, times=3)
    with pytest.raises(CheckpointRefused):
        await relay.look(relay.worker())


async def test_a_torn_copy_leaves_the_other(relay: Relay) -> None:
    """The one before is restored; when none is left, an empty store waits for help, and a full one writes a new one."""
    worker = relay.worker()
    await relay.look(worker)
    await relay.fill()
    await relay.look(worker, times=2)
    heads = await relay.heads()
    torn = next(slot for slot in SLOTS if heads.found[slot] is heads.newest)
    (relay.place / torn).write_bytes((relay.place / torn).read_bytes()[:100])
    assert set((await relay.heads()).torn) == {torn}
    full = await snapshot(relay.redis)
    await relay.redis.flushdb()
    await relay.look(relay.worker())
    assert await relay.cursor() == 500
    for slot in SLOTS:
        (relay.place / slot).write_bytes(b"v1.nothing")
    await restore(relay.redis, full)
    await relay.redis.flushdb()
    with pytest.raises(CheckpointRefused, match="is damaged, and Redis has nothing to replace it with"):
        await relay.look(relay.worker())
    await restore(relay.redis, full)
    await relay.look(worker, times=3)
    assert len((await relay.heads()).found) == 2


async def test_a_configuration_of_an_older_release_is_written_anew(relay: Relay) -> None:
    """It does not hold all that this release knows of, even if nothing has changed since."""
    worker = relay.worker()
    await relay.look(worker)
    await relay.fill()
    await relay.look(worker, times=2)
    heads = await relay.heads()
    assert heads.newest is not None
    await relay.checkpoints().write_head(replace(heads.newest, form=1), heads)
    await relay.look(worker, times=2)
    found = (await relay.heads()).newest
    assert found is not None
    assert (found.form, found.version) == (FORM, heads.newest.version)
    assert found.configuration != heads.newest.configuration


async def test_a_missing_configuration_is_told(relay: Relay) -> None:
    """An empty store does not begin without it."""
    worker = relay.worker()
    await relay.look(worker)
    await relay.fill()
    await relay.look(worker)
    await relay.redis.flushdb()
    for path in relay.place.glob("configuration-*"):
        path.unlink()
    with pytest.raises(CheckpointRefused, match=r"it is not there.*so the configuration can't be restored"):
        await relay.look(worker)
    assert await relay.stores.epochs.read() is None


async def test_a_store_that_lost_a_change_gets_it_back(relay: Relay) -> None:
    """Its cursors stay, for a loss of seconds. A worker that knew the change does not forget it in between."""
    worker = relay.worker()
    await relay.look(worker)
    endpoint = await relay.fill()
    await relay.look(worker)
    added: list[Endpoint] = []

    async def change() -> None:
        added.append(await relay.endpoint())
        await relay.redis.hset(keys.route(UK, "all"), "cursor", 400)  # type: ignore[misc]

    known = await Copying(relay.redis).version()
    await relay.lose(change, worker)
    head = (await relay.heads()).newest
    assert head is not None
    assert head.version > known
    assert not await worker.vouch(head.version)
    assert await worker.may_poll()
    await relay.look(worker)
    assert await worker.vouch(head.version)
    page = await relay.stores.endpoints.page(endpoint.app_id, after=None, limit=9)
    assert {e.id for e in page.values} == {endpoint.id, added[0].id}
    assert await relay.cursor() == 500
    assert worker.restored is not None
    assert worker.restored.routes == {}


async def test_a_store_that_lost_only_events_works_on(relay: Relay) -> None:
    """What a server forgot of its last second is polled again; nobody waits for a checkpoint, and an epoch begins."""
    worker = relay.worker()
    await relay.look(worker)
    await relay.fill()
    await relay.look(worker)
    epoch = await relay.epoch()

    async def nothing() -> None: ...

    await relay.lose(nothing, worker)
    worker._still_s = 60.0
    await relay.look(worker, times=2)
    assert worker.trouble is None
    assert (await relay.epoch()).id == epoch.id
    worker._still_s = 0.0
    await relay.look(worker)
    assert (await relay.epoch()).ancestors == (epoch.id,)


@pytest.mark.parametrize(("behind_s", "expected"), [(500, 900), (700, 500)])
async def test_an_older_backup_is_polled_from_the_marks(relay: Relay, behind_s: int, expected: int) -> None:
    """Rows that appeared late since then are not found by its own overlap. No cursor moves forward."""
    worker = relay.worker()
    await relay.look(worker)
    await relay.fill()
    await relay.look(worker)
    full = await snapshot(relay.redis)
    await relay.look(worker)
    await restore(relay.redis, full)
    await relay.redis.hset(keys.route(UK, "all"), "cursor", 900)  # type: ignore[misc]
    await relay.redis.hincrby(keys.EPOCH, "beaten_ms", -behind_s * 1000)  # type: ignore[misc]
    await relay.look(relay.worker())
    assert await relay.cursor() == expected


async def test_a_store_from_before_its_first_checkpoint(relay: Relay) -> None:
    """A backup without an epoch is known by its history."""
    endpoint = await relay.fill()
    backup = await snapshot(relay.redis)
    worker = relay.worker()
    await relay.look(worker)
    added = await relay.endpoint()
    await relay.look(worker)
    epoch = await relay.epoch()
    await restore(relay.redis, backup)
    await relay.look(relay.worker())
    assert (await relay.epoch()).ancestors == (epoch.id,)
    page = await relay.stores.endpoints.page(endpoint.app_id, after=None, limit=9)
    assert {e.id for e in page.values} == {endpoint.id, added.id}


async def test_by_hand_nothing_is_restored_without_being_asked(relay: Relay) -> None:
    """The workers wait and say so; a process that is asked to restores, and they continue."""
    worker = relay.worker(is_manual=True)
    await relay.look(worker)
    await relay.fill()
    await relay.look(worker)
    await relay.redis.flushdb()
    await relay.look(worker, times=3)
    assert worker.trouble == (
        "Redis is empty. RELAY_RESTORE is manual: run `relay restore` to bring back what the checkpoint has"
    )
    asked = relay.worker()
    while not asked.is_settled:
        await asked.compare()
    assert asked.restored is not None
    assert asked.restored.routes == {"uk/all": 500}
    await relay.look(worker)
    assert worker.trouble is None


async def test_a_place_that_does_not_answer_stops_nothing(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that starts with a full store works; the operator is told when the checkpoint is old, and when not."""
    worker = relay.worker()
    await relay.look(worker)
    await relay.fill()
    await relay.look(worker)

    async def away(*_: object, **__: object) -> bytes:
        raise CheckpointUnavailable("there is no answer")

    with monkeypatch.context() as broken:
        broken.setattr(Objects, "read", away)
        other = relay.worker()
        await relay.look(worker, other)
        assert (worker.trouble, other.trouble) == (None, None)
        broken.setattr(checkpointing, "OLD_MS", -1)
        await relay.look(worker, times=2)
        assert "s old: there is no answer" in worker.said
        assert await relay.kinds() == ["checkpoint.old"]
    await relay.look(worker, other, times=2)
    assert worker.said == ""
    assert await relay.kinds() == ["checkpoint.old", "checkpoint.current"]


async def test_an_empty_store_waits_for_the_place(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows what is in the checkpoint, so nothing begins; attempts become rarer."""

    async def away(*_: object, **__: object) -> bytes:
        raise CheckpointUnavailable("there is no answer")

    monkeypatch.setattr(Objects, "read", away)
    worker = relay.worker()
    with structlog.testing.capture_logs() as logs:
        await relay.look(worker, times=3)
    assert worker.trouble == f"{LOOKING}: there is no answer"
    assert await relay.stores.epochs.read() is None
    assert [entry["next_in_s"] for entry in logs if entry["event"] == "checkpoint_failed"] == [3.0, 6.0, 12.0]


async def test_configurations_that_no_head_names_are_deleted(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that another process may just have written is left for the next time."""
    monkeypatch.setattr(checkpointing, "CLEAN_EVERY", 1)
    worker = relay.worker()
    await relay.look(worker)
    await relay.fill()
    for _ in range(5):
        await relay.endpoint()
        await relay.look(worker)
    assert len(list(relay.place.glob("configuration-*"))) <= 4
    await relay.look(worker, times=3)
    named = {head.configuration for head in (await relay.heads()).found.values()}
    assert {path.name for path in relay.place.glob("configuration-*")} == named


async def test_a_source_that_is_not_known_yet_has_no_mark(relay: Relay) -> None:
    """Its configuration is restored; the head is written all the same."""
    worker = relay.worker()
    await relay.look(worker)
    await relay.stores.sources.put(SourceUid("new"), lambda _: replace(source("new"), start_row_id=7))
    await relay.look(worker)
    newest = (await relay.heads()).newest
    assert newest is not None
    assert set(newest.routes) == {UK}
