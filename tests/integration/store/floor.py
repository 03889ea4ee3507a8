"""Lanes with something in them, and sessions that work on them: what the tests of the lanes' scripts stand on."""

from typing import Any

from redis.asyncio import Redis

from relay.domain.model import Attempt, EndpointId, MessageId, SourceUid, StoredEvent
from relay.domain.references import parse_reference
from relay.domain.sending.effects import HandIn
from relay.store import keys
from relay.store.events import pack_event
from relay.store.exchanging import Exchanged, Given
from relay.store.lanes import Lanes
from relay.store.pages import Pages, RowCommit
from relay.store.routes import Routes, Token
from relay.store.undelivered import Undelivered
from tests.integration.books import Books, read_books

UK = SourceUid("uk")
A, B, C = EndpointId("ep_a"), EndpointId("ep_b"), EndpointId("ep_c")
NOW = 1_790_000_000_000


class Floor:
    """The lanes of one source. `now_ms` is what the workers' clocks say."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.lanes = Lanes(redis)
        self.now_ms = NOW
        self._token: Token | None = None
        self._turns: dict[str, int] = {}

    async def fill(self, *endpoints: EndpointId, numbers: range, stored_at_ms: int = NOW) -> None:
        """Commit events with these numbers, each for all of the endpoints."""
        if self._token is None:
            self._token = await Routes(self.redis).take(UK)
            assert self._token is not None
        rows = [
            RowCommit(n, b"seen", message(n), n, packed(n, stored_at_ms), [(endpoint, 2) for endpoint in endpoints])
            for n in numbers
        ]
        self._token.sequence = numbers.stop - 1
        await self.redis.set(keys.sequence(UK), self._token.sequence)
        await Pages(self.redis).commit(
            UK, "all", rows, space="t", cursor=None, token=self._token, version=0, now_ms=stored_at_ms
        )

    async def exchange(
        self, session: str, *handed: HandIn, claim: int = 0, per_lane: int = 8, again: bool = False, **options: Any
    ) -> list[Given]:
        """One exchange of a session. `again`: it repeats the last one, whose answer was lost."""
        return (await self.exchanged(session, *handed, claim=claim, per_lane=per_lane, again=again, **options)).given

    async def exchanged(
        self,
        session: str,
        *handed: HandIn,
        claim: int = 0,
        per_lane: int = 8,
        again: bool = False,
        lives_ms: int = 60_000,
        skip: int = 0,
    ) -> Exchanged:
        """The same, with its verdict. `skip`: calls that the session made and the store does not know."""
        self._turns[session] = self._turns.get(session, 0) + (0 if again else 1) + skip
        return await self.lanes.exchange(
            UK,
            handed,
            session=session,
            turn=self._turns[session],
            before=self._turns[session] - 1,
            now_ms=self.now_ms,
            lives_ms=lives_ms,
            claim=claim,
            per_lane=per_lane,
        )

    async def claim(self, session: str, *, lanes: int = 1, per_lane: int = 8, **options: Any) -> dict[str, list[bytes]]:
        """Claim ready lanes; gives the references of each."""
        given = await self.exchange(session, claim=lanes, per_lane=per_lane, **options)
        return {each.endpoint: each.references for each in given}

    async def resend(self, endpoint: EndpointId, reference: str) -> None:
        """Somebody sends a delivery again by hand."""
        await Undelivered(self.redis).resend(UK, endpoint, parse_reference(reference.encode()))

    async def block(self, endpoint: EndpointId, key: str, number: int) -> None:
        """Later events with a key wait for the one with a number."""
        await self.redis.hset(keys.blocked(UK, endpoint), key, number)
        await self.redis.sadd(keys.blockers(UK), endpoint)

    async def blocked(self, endpoint: EndpointId) -> dict[str, int]:
        """The keys that are blocked, each with the number of the event that it waits for."""
        found = await self.redis.hgetall(keys.blocked(UK, endpoint))
        return {key.decode(): int(number) for key, number in found.items()}

    def forgets(self, session: str) -> None:
        """A session starts to count its calls anew, as it does when the store does not know them any more."""
        self._turns.pop(session, None)

    async def owed(self) -> dict[str, int]:
        """The bytes of events that each endpoint's deliveries keep."""
        return {name.decode(): int(size) for name, size in (await self.redis.hgetall(keys.owed(UK))).items()}

    async def dies(self, session: str) -> None:
        """The session's time is over."""
        await self.redis.zadd(keys.sessions(UK), {session: 0})

    async def books(self, *, with_owed: bool = True) -> Books:
        """Where everything is; fails if it does not add up."""
        books = await read_books(self.redis, UK)
        faults = books.faults(with_owed=with_owed)
        assert faults == []
        return books

    async def waiting(self, endpoint: EndpointId) -> list[str]:
        """The references in a lane, from its head."""
        return [reference.text() for reference in (await self.books()).waiting.get(endpoint, [])]

    async def flying(self, endpoint: EndpointId) -> set[str]:
        """The references in flight."""
        return {reference.text() for reference in (await self.books()).flying.get(endpoint, [])}


def message(number: int) -> MessageId:
    """The id of the event with a number."""
    return MessageId(f"msg_{number:012d}{0:040d}")


def packed(number: int, stored_at_ms: int = NOW) -> bytes:
    """A small event."""
    return pack_event(
        StoredEvent(
            id=message(number), row_id=str(number), stored_at_ms=stored_at_ms, revision=1, types=b"\2", body=b"{}"
        )
    )


def attempt(endpoint: EndpointId, number: int, began_ms: int, **fields: Any) -> Attempt:
    """A try of the event with a number."""
    values = {"type_code": 2, "duration_ms": 3, "status": 500, "verdict": "retry", "tag": "00000"} | fields
    return Attempt(endpoint_id=endpoint, seq=number, number=1, started_at_ms=began_ms, **values)
