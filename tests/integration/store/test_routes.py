"""Routes: their leases, cursors and states, and the lines that were set aside."""

import pytest
from redis.asyncio import Redis

from relay.domain.model import SourceUid
from relay.domain.route_state import RouteState
from relay.errors import Astray, Fenced
from relay.store import keys, routes
from relay.store.route_states import LOST_CURSOR
from relay.store.routes import LEASE_MS, PUT_OFF_MS, Due, Routes, Token
from tests.integration.books import dump

UK, US = SourceUid("uk"), SourceUid("us")


@pytest.fixture
def store(redis: Redis) -> Routes:
    return Routes(redis)


async def test_one_poller_at_a_time(store: Routes, redis: Redis) -> None:
    """The lease is one poller's until it is given back or has run out, and each has a higher token (goal G7)."""
    first = await store.take(UK)
    assert first is not None
    assert await store.take(UK) is None
    assert await store.take(US) is not None
    await store.give_back(UK, first)
    second = await store.take(UK)
    assert second is not None
    assert second.number > first.number
    assert 0 < await redis.pttl(keys.lease(UK)) <= LEASE_MS


async def test_a_token_is_never_given_twice(store: Routes, redis: Redis) -> None:
    """A server that lost its last second, and with it that a token was given, gives another one."""
    first = await store.take(UK)
    await redis.delete(keys.fence(UK), keys.lease(UK))
    second = await store.take(UK)
    assert first is not None
    assert second is not None
    assert second.number > first.number
    # Nor when its clock was put back.
    await redis.delete(keys.lease(UK))
    await redis.set(keys.fence(UK), 2**52)
    third = await store.take(UK)
    assert third is not None
    assert third.number == 2**52 + 1


async def test_a_deleted_source_is_polled_by_nobody_who_knows_it_from_before(store: Routes, redis: Redis) -> None:
    """Only who knows a configuration that is newer than the deletion can know another source of that name."""
    await redis.set(keys.fence(UK), -700)
    for version in (0, 699, 700):
        assert await store.take(UK, version=version) is None
    assert not await redis.exists(keys.lease(UK))
    token = await store.take(UK, version=701)
    assert token is not None
    assert token.number > 700


async def test_a_lease_is_renewed_by_its_owner_only(store: Routes, redis: Redis) -> None:
    """Whoever lost it can neither keep it nor give it back."""
    first = await store.take(UK)
    assert first is not None
    await redis.pexpire(keys.lease(UK), 100)
    assert await store.keep(UK, first)
    assert await redis.pttl(keys.lease(UK)) > 100
    await redis.delete(keys.lease(UK))
    assert not await store.keep(UK, first)
    second = await store.take(UK)
    assert second is not None
    assert not await store.keep(UK, first)
    await store.give_back(UK, first)
    assert await redis.get(keys.lease(UK)) == str(second.number).encode()


@pytest.fixture
async def token(store: Routes) -> Token:
    token = await store.take(UK)
    assert token is not None
    return token


async def test_a_route_is_started_once(store: Routes, token: Token) -> None:
    """A cursor that is there is never put back by a second start."""
    await store.start(UK, "all", 500, token=token, now_ms=10)
    await store.start(UK, "all", 400, token=token, now_ms=20)
    assert (await store.states(UK, ["all"]))[0].cursor == 500


async def test_states_are_read_as_they_were_saved(store: Routes, token: Token) -> None:
    """Every field comes back, None clears one, and a route that never ran is as good as new."""
    await store.save(
        UK, "calls", {"state": "failing", "failures": 3, "last_error": "no", "next_poll_at_ms": 7}, token=token
    )
    await store.save(UK, "calls", {"last_error": None, "failures": 0}, token=token)
    calls, goals = await store.states(UK, ["calls", "goals"])
    assert (calls.state, calls.failures, calls.last_error, calls.next_poll_at_ms) == ("failing", 0, None, 7)
    assert (goals.route, goals.cursor, goals.state) == ("goals", None, "waiting")


async def test_only_the_poller_writes_states(store: Routes, redis: Redis, token: Token) -> None:
    """One that was taken over, or whose store went back in time, changes no field, starts and settles no route."""
    await redis.incrby(keys.sequence(UK), 5)
    await store.look(UK, token)
    await redis.delete(keys.lease(UK))
    newer = await store.take(UK)
    assert newer is not None
    lost = Token(newer.number, newer.sequence + 1)
    before = await dump(redis)
    for other, error in ((token, Fenced), (lost, Astray)):
        with pytest.raises(error):
            await store.save(UK, "calls", {"last_error": "old"}, token=other)
        with pytest.raises(error):
            await store.settle(UK, joined={"calls": "creation"}, start="none", left=["goals"], token=other)
    with pytest.raises(Fenced):
        await store.set_aside(UK, line(1), token=token)
    assert await dump(redis) == before
    for other, error in ((token, Fenced), (lost, Astray)):
        with pytest.raises(error):
            await store.start(UK, "calls", 7, token=other, now_ms=10)
    assert (await store.states(UK, ["calls"]))[0].cursor is None
    assert not await redis.exists(keys.trail(UK, "calls"))
    await store.save(UK, "calls", {"last_error": "new"}, token=newer)


async def test_a_full_server_takes_what_routes_say(store: Routes, redis: Redis, token: Token) -> None:
    """That a route stands still because the store is full can be seen, for it is written although the store is full."""
    await redis.config_set("maxmemory", 1)
    try:
        await store.save(UK, "calls", {"last_error": "the store is full"}, token=token)
    finally:
        await redis.config_set("maxmemory", 0)
    assert (await store.states(UK, ["calls"]))[0].last_error == "the store is full"


async def test_routes_are_settled_in_one_step(store: Routes, redis: Redis, token: Token) -> None:
    """Since when routes belong to a source is noted, and what left it is gone."""
    await store.start(UK, "goals", 5, token=token, now_ms=10, changes={"state": "polling"})
    await store.settle(UK, joined={"calls": "creation", "all": "later"}, start="7", left=["goals"], token=token)
    calls, every, goals = await store.states(UK, ["calls", "all", "goals"])
    assert (calls.joined, every.joined, goals) == ("creation", "later", RouteState(route="goals"))
    assert calls.start == every.start == "7"
    assert not await redis.exists(keys.trail(UK, "goals"))


async def test_damaged_states_are_read_without_the_damage(store: Routes, redis: Redis) -> None:
    """What can be read counts; without its cursor a route stands still and says what to do."""
    fields = {"cursor": "7", "failures": "many", "limit": b"\xff", "state": "polling", "unreadable": "1", "later": "x"}
    await redis.hset(keys.route(UK, "calls"), mapping=fields)  # type: ignore[misc]
    await redis.hset(keys.route(UK, "goals"), mapping={"cursor": "7.5", "state": "polling"})  # type: ignore[misc]
    calls, goals = await store.states(UK, ["calls", "goals"])
    assert calls == RouteState(route="calls", cursor=7, state="polling")
    assert (goals.cursor, goals.state, goals.last_error, goals.unreadable) == (None, "stopped", LOST_CURSOR, True)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("failures", "-5"), ("limit", "1e9"), ("next_poll_at_ms", "9" * 18), ("caught_up_at_ms", "9" * 30),
        ("held_from", "-7"), ("whole_rows_until_ms", " 7"), ("last_error_at_ms", "007"),
    ],
)  # fmt: skip
async def test_a_number_that_can_be_none_of_its_kind_is_left_out(
    store: Routes, token: Token, redis: Redis, field: str, value: str
) -> None:
    """A count below zero, or a time after the year 6000, is damage: a route must neither break nor wait for that."""
    await store.start(UK, "all", 500, token=token, now_ms=10)
    await redis.hset(keys.route(UK, "all"), field, value)  # type: ignore[misc]
    assert await store.states(UK, ["all"]) == [RouteState(route="all", cursor=500)]


@pytest.mark.parametrize("cursor", ["", "x", "-1", "007", " 7", "+7", "7.0", "1e3", "9" * 19])
async def test_a_cursor_that_can_be_none_stops_its_route(
    store: Routes, token: Token, redis: Redis, cursor: str
) -> None:
    """Scripts compare a cursor's text: one that is written otherwise than they do would never be the right one."""
    await store.start(UK, "all", 500, token=token, now_ms=10)
    await redis.hset(keys.route(UK, "all"), "cursor", cursor)  # type: ignore[misc]
    (state,) = await store.states(UK, ["all"])
    assert (state.cursor, state.state, state.last_error, state.unreadable) == (None, "stopped", LOST_CURSOR, True)


async def test_each_source_that_is_due_is_given_to_one_worker(store: Routes) -> None:
    """Sources whose time has come, and those that never had one; each comes again when the worker must have begun."""
    await store.poll_at(UK, 100)
    await store.enlist([UK, US])
    assert await store.take_due(now_ms=99) == Due([US], 100)
    assert await store.take_due(now_ms=100) == Due([UK], 99 + PUT_OFF_MS)
    assert await store.take_due(now_ms=100) == Due([], 99 + PUT_OFF_MS)
    assert await store.take_due(now_ms=99 + PUT_OFF_MS) == Due([US], 100 + PUT_OFF_MS)


def line(number: int) -> dict[str, dict[str, object]]:
    return {f"d{number}": {"route": "all", "rowId": str(number), "reason": "r", "line": "l", "seenAtMs": number}}


async def test_lines_are_set_aside_once(store: Routes, token: Token) -> None:
    """The same line again is neither kept nor counted twice; the newest are shown first."""
    await store.set_aside(UK, line(1) | line(2), token=token)
    await store.set_aside(UK, line(2) | line(3), token=token)
    assert [each["rowId"] for each in await store.quarantined(UK, 2)] == ["3", "2"]
    assert await store.quarantined_total(UK) == 3
    assert await store.quarantined_total(US) == 0


async def test_damaged_lines_are_shown_as_such(store: Routes, token: Token, redis: Redis) -> None:
    """What was kept of a line may be damaged itself: the others are shown all the same, and it makes room first."""
    await store.set_aside(UK, line(1), token=token)
    damage = {"d2": b"\xff", "d3": "{}", "d4": '{"seenAtMs": "x"}', b"\xff": "[]", "total": "many"}
    await redis.hset(keys.quarantine(UK), mapping=damage)  # type: ignore[misc]
    shown = await store.quarantined(UK, 10)
    assert (shown[0]["rowId"], shown[0]["digest"]) == ("1", "d1")
    assert {each["reason"] for each in shown[1:]} == {"what was kept of the line is damaged"}
    assert len(shown) == 5
    assert await store.quarantined_total(UK) == 0
    await store.set_aside(UK, line(7), token=token)
    assert await store.quarantined_total(UK) == 6
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(routes, "QUARANTINE_KEPT", 3)
        await store.set_aside(UK, line(8), token=token)
    assert [each["rowId"] for each in await store.quarantined(UK, 10)] == ["8", "7", "1"]


async def test_lines_are_bounded(store: Routes, token: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest make room, and all are counted."""
    monkeypatch.setattr(routes, "QUARANTINE_KEPT", 5)
    for number in range(1, 10):
        await store.set_aside(UK, line(number), token=token)
    kept = [each["rowId"] for each in await store.quarantined(UK, 100)]
    assert kept[:4] == ["9", "8", "7", "6"]
    assert len(kept) <= 6
    assert await store.quarantined_total(UK) == 9
