"""Whether RELAY_ENCRYPTION_KEY is the right one is known at the start, with a record that it can't open."""

import base64

import pytest
from redis.asyncio import Redis

from relay.domain.model import ApiKeyAuth, Application, Endpoint, Secret, Source, SourceUid
from relay.errors import StoreRefused
from relay.pipeline.catalogue import Catalogue
from relay.starting import check_start
from relay.store import keys
from relay.store.applications import Applications
from relay.store.configuration import Configuration
from relay.store.endpoints import Endpoints
from relay.store.key_ages import KEPT, MOST_KEYS, KeyAges
from relay.store.seal import Seal, locked
from relay.store.sources import Sources
from relay.store.vault import Vault

OLD, NEW, OTHER = (Secret(base64.b64encode(bytes([number]) * 32).decode()) for number in range(3))
NOW = 1_790_000_000_000


def with_keys(redis: Redis, *ring: Secret) -> Seal:
    vault = Vault(ring)
    return Seal(redis, vault, Configuration(redis, vault))


async def fill(redis: Redis, *ring: Secret, uid: str = "uk") -> None:
    """A source and an endpoint, sealed with a key."""
    vault = Vault(ring)
    application = await Applications(redis, vault).create(lambda i: Application(id=i, name="a"), now_ms=NOW)
    await Endpoints(redis, vault).create(
        lambda i: Endpoint(id=i, app_id=application.id, url="https://a.example", headers={"x": "secret"}), now_ms=NOW
    )
    await Sources(redis, vault).put(
        SourceUid(uid),
        lambda _: Source(
            uid=SourceUid(uid), name="", base_url="https://a.example", version="v2", igrp=1, auth=ApiKeyAuth("key"),
            routes=("all",), poll_interval_s=1.0, batch_size=10,
        ),
    )  # fmt: skip


async def test_the_right_key_is_right(redis: Redis) -> None:
    """On an empty store, on a full one, and at every later start."""
    assert await with_keys(redis, OLD).trouble() is None
    await fill(redis, OLD)
    assert await with_keys(redis, OLD).trouble() is None
    await check_start(redis, with_keys(redis, OLD))


@pytest.mark.parametrize("sealed_before", [True, False], ids=["", "a store of an earlier release"])
async def test_a_wrong_key_stops_the_start(redis: Redis, sealed_before: bool) -> None:
    """In one line, with a record that can't be opened and what to do."""
    await fill(redis, OLD)
    if sealed_before:
        assert await with_keys(redis, OLD).trouble() is None
    for _ in range(2):
        with pytest.raises(StoreRefused) as refused:
            await check_start(redis, with_keys(redis, OTHER))
        said = str(refused.value)
        assert said.startswith("RELAY_ENCRYPTION_KEY can't open the source uk, and one more record. Set ")
        assert "\n" not in said
    assert await with_keys(redis, OLD).trouble() is None


async def test_keys_are_changed_one_by_one(redis: Redis) -> None:
    """The new one first, the old one behind it; a start with both seals the seal anew."""
    await with_keys(redis, OLD).trouble()
    await fill(redis, OLD)
    assert await with_keys(redis, NEW, OLD).trouble() is None
    sealed = await redis.get(keys.SEAL)
    assert Vault([NEW]).is_current(sealed.decode())
    assert await with_keys(redis, NEW, OLD).trouble() is None
    assert await redis.get(keys.SEAL) == sealed


async def test_a_key_that_sealed_nothing_but_the_seal_stops_the_start(redis: Redis) -> None:
    """A change of keys that was ended before any record was saved again."""
    await fill(redis, OLD)
    assert await with_keys(redis, NEW, OLD).trouble() is None
    assert "can't open the source uk" in (await with_keys(redis, NEW).trouble() or "")
    assert await with_keys(redis, NEW, OLD).trouble() is None


async def test_a_key_that_was_dropped_too_early_stops_nothing_else(redis: Redis) -> None:
    """What it alone opens is set aside, for the rest goes on."""
    await fill(redis, OLD)
    await with_keys(redis, OLD).trouble()
    await fill(redis, NEW, uid="fr")
    assert await with_keys(redis, NEW).trouble() is None


async def test_a_worker_is_not_ready_while_its_key_opens_only_some_records(redis: Redis) -> None:
    """So a rollout that drops a key too early does not end, although the rest goes on."""
    await fill(redis, OLD)
    await fill(redis, NEW, uid="fr")
    some, all_of_them = (Catalogue(Configuration(redis, Vault(ring))) for ring in ([NEW], [NEW, OLD]))
    await some.refresh()
    await all_of_them.refresh()
    said = locked(some.unreadable.values()) or ""
    assert said.startswith("RELAY_ENCRYPTION_KEY can't open the source uk, and one more record. Set ")
    assert locked(all_of_them.unreadable.values()) is None


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe", b"v1.a.b.c", b"x" * 1000])
async def test_a_damaged_seal_is_made_anew(redis: Redis, damage: bytes) -> None:
    await fill(redis, OLD)
    await redis.set(keys.SEAL, damage)
    assert await with_keys(redis, OLD).trouble() is None
    assert Vault([OLD]).is_current((await redis.get(keys.SEAL)).decode())


async def test_the_first_use_of_each_key_is_noted(redis: Redis) -> None:
    """At a start with it. Later starts, and a change to another key and back, leave it as it is."""
    old, new = KeyAges(redis, Vault([OLD])), KeyAges(redis, Vault([NEW, OLD]))
    assert await old.since_ms() is None
    await with_keys(redis, OLD).trouble()
    first = await old.since_ms()
    await redis.zadd(KEPT, {Vault([OLD]).sealing: 5}, xx=True)
    await with_keys(redis, NEW, OLD).trouble()
    await with_keys(redis, OLD, NEW).trouble()
    assert (await old.since_ms(), first is not None) == (5, True)
    assert (await new.since_ms() or 0) >= (first or 0)


async def test_only_the_last_keys_are_noted(redis: Redis) -> None:
    """An operator who changes the key each day does not fill the store."""
    await redis.zadd(KEPT, {f"key{number}": number for number in range(MOST_KEYS)})
    await KeyAges(redis, Vault([NEW])).note()
    assert await redis.zcard(KEPT) == MOST_KEYS
    assert await KeyAges(redis, Vault([NEW])).since_ms() is not None
