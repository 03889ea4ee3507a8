"""The store's epoch."""

from redis.asyncio import Redis

from relay.domain.epoch import Epoch
from relay.store import keys
from relay.store.epochs import Epochs, new_id


async def test_an_epoch_begins_once(redis: Redis) -> None:
    """Of several workers that find the same loss one begins the next epoch."""
    epochs = Epochs(redis, needed=True)
    assert await epochs.read() is None
    first, second = Epoch(id=new_id()), Epoch(id=new_id())
    assert await epochs.begin(first, after=None)
    assert not await epochs.begin(second, after=None)
    found = await epochs.read()
    assert found is not None
    assert (found.epoch, found.beaten_ms, found.saved_ms) == (first, None, None)
    third = first.next(new_id())
    assert not await epochs.begin(third, after=second)
    assert await epochs.begin(third, after=first)
    found = await epochs.read()
    assert found is not None
    assert found.epoch == third


async def test_checkpoints_are_counted_in_their_epoch(redis: Redis) -> None:
    """Also on a full server; what was begun in an epoch that ended is not written."""
    epochs, epoch = Epochs(redis, needed=True), Epoch(id=new_id())
    await epochs.begin(epoch, after=None)
    first = await epochs.beat(epoch, saved_ms=None)
    assert first is not None
    try:
        await redis.config_set("maxmemory", 1)
        second = await epochs.beat(epoch, saved_ms=first[1])
    finally:
        await redis.config_set("maxmemory", 0)
    assert second is not None
    assert (first[0], second[0]) == (1, 2)
    found = await epochs.read()
    assert found is not None
    assert (found.epoch.beats, found.beaten_ms, found.saved_ms) == (2, second[1], first[1])
    await epochs.begin(epoch.next(new_id()), after=epoch)
    assert await epochs.beat(epoch, saved_ms=None) is None


async def test_a_store_without_an_epoch_is_not_changed(redis: Redis) -> None:
    """Where there are checkpoints: its configuration may come back."""
    assert await Epochs(redis, needed=False).trouble() is None
    epochs = Epochs(redis, needed=True)
    assert "Start a worker" in (await epochs.trouble() or "")
    await epochs.begin(Epoch(id=new_id()), after=None)
    assert await epochs.trouble() is None
    await redis.hset(keys.EPOCH, "beats", "damage")  # type: ignore[misc]
    found = await epochs.read()
    assert found is not None
    assert found.epoch.beats == 0
