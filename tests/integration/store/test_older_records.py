"""Tasks that another release wrote continue: what is stored is compared as it was written, not as it is written now."""

import base64

import msgspec
import pytest
from msgspec.structs import asdict, replace
from redis.asyncio import Redis

from relay.domain.erasing_task import Task
from relay.domain.model import ApplicationId, EndpointId, Secret, SourceUid
from relay.domain.reading.backfill import Backfill, written
from relay.domain.replaying import Replay, Wanted
from relay.errors import Conflict
from relay.store import reading_keys, replay_keys
from relay.store.backfills import Backfills
from relay.store.erasing_keys import ERASING
from relay.store.erasing_tasks import ErasingTasks
from relay.store.replays import PACKING, Replays
from relay.store.vault import Vault

UK = SourceUid("uk")
REPLAY = Replay(
    id="qtask_1", kind="endpoint.replay", application=ApplicationId("app_1"), endpoint=EndpointId("ep_1"),
    wanted=Wanted(states=("dead",)), end=9, created_ms=1, updated_ms=1,
)  # fmt: skip
ADDED = ("gone_first", "gone_last", "backfills")


def older(replay: Replay) -> bytes:
    """As the release before wrote it."""
    return b"\x01" + msgspec.msgpack.encode({n: v for n, v in asdict(replay).items() if n not in ADDED})


def test_a_record_without_anything_new_is_as_the_release_before_writes_it() -> None:
    """So that workers of that release can continue it: they compare what they read with what they would write."""
    assert PACKING.pack(REPLAY) == older(REPLAY)
    longer = replace(REPLAY, gone_last=5, backfills=("bf_1",))
    assert PACKING.unpack(PACKING.pack(longer)) == longer


@pytest.mark.parametrize("form", ["older", "every field"])
async def test_a_replay_in_another_form_continues(redis: Redis, form: str) -> None:
    """Also one with all fields, as a release between wrote it. What is not as it was is still refused."""
    stored = older(REPLAY) if form == "older" else b"\x01" + msgspec.msgpack.encode(REPLAY)
    await redis.hset(replay_keys.replays(UK), REPLAY.id, stored)  # type: ignore[misc,arg-type]
    replays, after = Replays(redis), replace(REPLAY, at=5, updated_ms=2)
    (read,) = await replays.running(UK)
    await replays.advance(UK, read, after)
    assert await replays.running(UK) == [after]
    with pytest.raises(Conflict):
        await replays.advance(UK, read, after)


async def test_an_erasure_in_another_form_continues(redis: Redis) -> None:
    """The first version of its record is read, and so it has to be replaced."""
    task = Task(id="qtask_2", sealed="x", created_ms=1, updated_ms=1)
    await redis.hset(ERASING, task.id, b"\x01" + msgspec.msgpack.encode(task))  # type: ignore[misc,arg-type]
    tasks = ErasingTasks(redis, Vault((Secret(base64.b64encode(b"k" * 32).decode()),)))
    (read,) = await tasks.all()
    after = replace(read, phase="cancelled", updated_ms=2)
    await tasks.advance(read, after)
    assert await tasks.all() == [after]


async def test_a_backfill_that_another_release_began_ends(redis: Redis) -> None:
    """It lacks a field that this release knows. Without that field, both releases write the same."""
    backfill = Backfill(id="bf_1", route="all", after=0, until=9, endpoints=(), created_ms=1)
    older = {name: each for name, each in asdict(backfill).items() if name != "too_old"}
    assert written(backfill) == msgspec.json.encode(older)
    every_field = msgspec.json.encode(asdict(backfill))
    for stored in (msgspec.json.encode(older), every_field):
        await redis.hset(reading_keys.backfills(UK), backfill.id, stored)  # type: ignore[misc,arg-type]
        backfills, ended = Backfills(redis), replace(backfill, state="cancelled")
        await backfills.cancel(UK, ended, before=await backfills.get(UK, backfill.id))
        assert (await backfills.get(UK, backfill.id)).state == "cancelled"
