"""Checkpoints that are cut short, and stores that are lost while one is written or restored."""

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from relay.domain.model import SourceUid
from relay.pipeline import checkpointing
from relay.store import copying, keys
from relay.store.copying import Copying
from relay.store.lives import Lives
from relay.store.low_water import LowWater
from relay.store.scripts import run_all
from tests.integration.books import restore, snapshot
from tests.integration.pipeline.vouching_rig import KEY, OTHER_KEY, UK, Relay, source


@pytest.fixture
async def full(relay: Relay) -> Relay:
    """A relay with a source, an endpoint, and two copies of a checkpoint."""
    worker = relay.worker()
    await relay.look(worker)
    await relay.fill()
    await relay.look(worker, times=2)
    return relay


async def is_restored(relay: Relay) -> bool:
    """Whether another worker brings an emptied store back with all that it had."""
    await relay.redis.flushdb()
    await relay.look(relay.worker(), times=2)
    sources = await relay.stores.sources.uids()
    return (sources, await relay.cursor()) == ([UK], 500)


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("changed", [False, True])
async def test_a_store_that_is_lost_while_a_checkpoint_is_written(
    full: Relay, monkeypatch: pytest.MonkeyPatch, changed: bool, older: bool
) -> None:
    """What is read of an emptied store, or of an older one, is not written over what the store had."""
    worker, read = full.worker(), LowWater.read
    backup = await snapshot(full.redis)
    await full.look(worker, times=2)
    if changed:
        await full.endpoint()
    count, copied = await count_endpoints(full), Copying.take

    async def lose() -> None:
        await restore(full.redis, backup if older else {})

    async def late_take(self: Copying) -> object:
        await lose()
        return await copied(self)

    async def late_read(self: LowWater, *args: object, **options: object) -> object:
        await lose()
        return await read(self, *args, **options)  # type: ignore[arg-type]

    head = (await full.heads()).newest
    with monkeypatch.context() as patched:
        patched.setattr(*((Copying, "take", late_take) if changed else (LowWater, "read", late_read)))
        await full.look(worker)
    assert (await full.heads()).newest == head
    await full.look(full.worker(), times=2)
    assert await full.cursor() == 500
    assert await count_endpoints(full) == count - changed


async def count_endpoints(relay: Relay) -> int:
    """How many there are in the store."""
    return int(await relay.redis.hlen("relay:{config}:endpoints"))  # type: ignore[misc]


@pytest.mark.parametrize("dies_at", range(6))
async def test_a_restoration_that_dies_is_ended_by_another_worker(
    full: Relay, monkeypatch: pytest.MonkeyPatch, dies_at: int
) -> None:
    """Wherever it ends: a store that has a part of the configuration is not taken for another relay's."""
    steps = 0

    async def dying(redis: Redis, calls: object) -> object:
        nonlocal steps
        steps += 1
        if steps > dies_at:
            raise RuntimeError("killed")
        return await run_all(redis, calls)  # type: ignore[arg-type]

    await full.redis.flushdb()
    monkeypatch.setattr(copying, "AT_ONCE", 1)
    with monkeypatch.context() as patched:
        patched.setattr(copying, "run_all", dying)
        if dies_at < 4:
            with pytest.raises(RuntimeError, match="killed"):
                await full.look(full.worker())
            assert await full.stores.epochs.read() is None
    await full.look(full.worker(), times=2)
    assert await full.stores.epochs.read() is not None
    assert await full.cursor() == 500
    for kind in ("sources", "applications", "endpoints"):
        assert await full.redis.hlen(keys.config(kind)) == 1  # type: ignore[misc]


async def test_the_configuration_follows_a_new_key(full: Relay) -> None:
    """What the old key sealed is written anew, so that the checkpoint can be opened without the old key."""
    await full.look(full.worker(key=f"{OTHER_KEY},{KEY}"), times=3)
    newest = (await full.heads(OTHER_KEY)).newest
    assert newest is not None
    assert await full.checkpoints(OTHER_KEY).configuration(newest)


async def test_a_configuration_that_went_is_written_again(full: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Buckets can have rules that delete old objects, and it is as old as the last change."""
    monkeypatch.setattr(checkpointing, "CLEAN_EVERY", 1)
    for path in full.place.glob("configuration-*"):
        path.unlink()
    await full.look(full.worker(), times=3)
    assert await is_restored(full)


async def test_a_source_that_its_writer_cannot_read_keeps_its_mark(full: Relay) -> None:
    """Another release wrote its record, or a key is missing: the worker that writes knows no source then."""
    blind = full.worker(knows=())
    await full.look(blind, times=4)
    assert await is_restored(full)


async def test_a_deleted_source_has_no_mark(full: Relay) -> None:
    """One that is created under its uid begins where it says."""
    worker = full.worker(knows=())
    await full.stores.sources.delete(UK)
    await full.look(worker, times=2)
    newest = (await full.heads()).newest
    assert newest is not None
    assert SourceUid("uk") not in newest.routes


async def lose_source(relay: Relay, source: SourceUid = UK) -> None:
    """Lose all that a node of a cluster has of a source."""
    await relay.redis.delete(*[name async for name in relay.redis.scan_iter(match=keys.prefix(source) + "*")])


async def begin_at(relay: Relay, cursor: int) -> None:
    """Have a poller begin with a source, as it does with a new one."""
    token = await relay.stores.routes.take(UK)
    assert token is not None
    await relay.stores.routes.start(UK, "all", cursor, token=token, now_ms=1)


async def move_on(relay: Relay, cursor: int) -> None:
    """Have a poller move on."""
    await relay.redis.hset(keys.route(UK, "all"), "cursor", cursor)  # type: ignore[misc]
    await relay.redis.incr(keys.sequence(UK))


async def test_a_source_that_is_lost_alone_is_polled_from_its_marks(full: Relay) -> None:
    """A node of a cluster that was emptied: a poller may have begun behind the newest row by then."""
    worker, epoch = full.worker(), await full.epoch()
    await full.look(worker, times=3)
    await lose_source(full)
    await begin_at(full, 900)
    await full.look(full.worker(), times=2)
    assert await full.cursor() == 500
    assert (await full.epoch()).id == epoch.id
    assert await full.kinds() == ["store.restored"]
    await move_on(full, 950)
    await full.look(worker, full.worker(), times=2)
    assert (await full.cursor(), await full.kinds()) == (950, ["store.restored"])
    assert await is_restored(full)


async def test_a_source_that_is_set_back_alone_is_polled_from_its_marks(full: Relay) -> None:
    """A replica that lacked the last hour was promoted: its sequence is lower than it was."""
    worker = full.worker()
    await full.look(worker, times=3)
    before = {name: await full.redis.dump(name) async for name in full.redis.scan_iter(match=keys.prefix(UK) + "*")}
    for _ in range(4):
        await full.redis.incr(keys.sequence(UK))
    await full.look(worker)
    await lose_source(full)
    for name, value in before.items():
        await full.redis.restore(name, 0, value, replace=True)
    await move_on(full, 900)
    await full.look(worker, times=3)
    assert (await full.cursor(), await full.kinds()) == (500, ["store.restored"])


async def test_a_lost_source_is_restored_again_after_a_crash(full: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its marks stay in the checkpoint until it continues from them."""
    await full.look(full.worker(), times=3)
    await lose_source(full)

    async def killed(*_: object, **__: object) -> None:
        raise RuntimeError("killed")

    for name in ("put_marks", "begin"):
        with monkeypatch.context() as patched:
            patched.setattr(*((Copying, name, killed) if name == "put_marks" else (Lives, name, killed)))
            with pytest.raises(RuntimeError, match="killed"):
                await full.look(full.worker(), times=2)
        await move_on(full, 900)
    await full.look(full.worker(), times=2)
    assert await full.cursor() == 500


async def test_by_hand_a_lost_source_waits_to_be_asked_for(full: Relay) -> None:
    """The workers say so, and its marks are not written over."""
    worker = full.worker(is_manual=True)
    await full.look(worker, times=3)
    await lose_source(full)
    await begin_at(full, 900)
    await full.look(worker, times=4)
    assert await full.cursor() == 900
    assert worker.said == "Redis lost what it had of 1 sources (uk): run `relay restore`"
    asked = full.worker(knows=())
    await asked.compare()
    assert (asked.restored and asked.restored.routes) == {"uk/all": 500}
    await full.look(worker, times=2)
    assert worker.said == ""


async def test_a_source_that_is_created_anew_is_not_restored(full: Relay) -> None:
    """It has the uid of one that was deleted, and nothing else of it."""
    await full.look(full.worker(), times=3)
    await full.stores.sources.delete(UK)
    await lose_source(full)
    await full.redis.delete(keys.config("deletions"))
    anew = replace(source(), created_at_ms=7)
    await full.stores.sources.put(UK, lambda _: anew)
    await begin_at(full, 900)
    # A worker may not know of it yet.
    await full.look(full.worker(), times=2)
    await full.look(full.worker(knows=[anew]), times=3)
    assert (await full.cursor(), await full.kinds()) == (900, [])
    newest = (await full.heads()).newest
    assert newest is not None
    assert newest.routes[UK]["all"].cursor == 900
