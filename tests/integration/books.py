"""What the store holds of a source, read from the keys as they stand: what must add up whatever happened before."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from relay.domain.books import State, states
from relay.domain.model import EndpointId, SourceUid
from relay.domain.references import Reference, parse_reference
from relay.store import keys
from relay.store.cluster import ClusterRedis

Delivery = tuple[EndpointId, int]
"""An endpoint, and the number of an event."""


_READ = """#!lua flags=no-writes,allow-cross-slot-keys
local found = {}
for _, name in ipairs(redis.call('KEYS', ARGV[1])) do
  local kind = redis.call('TYPE', name).ok
  local read = {
    string = {'GET', name}, hash = {'HGETALL', name}, list = {'LRANGE', name, 0, -1}, set = {'SMEMBERS', name},
    zset = {'ZRANGE', name, 0, -1, 'WITHSCORES'}, stream = {'XRANGE', name, '-', '+'},
  }
  if read[kind] then found[#found + 1] = {name, kind, redis.call(unpack(read[kind]))} end
end
return found
"""
_COMMANDS: dict[bytes, tuple[str | int, ...]] = {
    b"hash": ("HGETALL",),
    b"list": ("LRANGE", 0, -1),
    b"set": ("SMEMBERS",),
    b"zset": ("ZRANGE",),
    b"stream": ("XRANGE", "-", "+"),
}
_VALUES: dict[bytes, Callable[[Any], Any]] = {
    b"hash": lambda found: dict(_pairs(found)),
    b"set": set,
    b"zset": lambda found: [(member, float(score)) for member, score in _pairs(found)],
}
"""From what Lua gives for a type; what is not here is right as it is."""


async def dump(redis: Redis, match: str = "*") -> dict[str, Any]:
    """Every key with its value, in a form that compares; lists and sorted sets keep their order.

    A server reads all of it in one step: redis-py takes many times as long for as many answers.
    """
    if isinstance(redis, ClusterRedis):
        return await _dump_by_key(redis, match)
    found: list[Any] = await redis.eval(_READ, 0, match)  # type: ignore[misc]
    return {name.decode(): _VALUES[kind](value) if kind in _VALUES else value for name, kind, value in sorted(found)}


async def _dump_by_key(redis: Redis, match: str) -> dict[str, Any]:
    """The same where a script can't see everything: the keys of a slot that moves are on two nodes."""
    found: dict[str, Any] = {}
    for name in sorted([name async for name in redis.scan_iter(match, count=1000)]):
        command, *arguments = _COMMANDS.get(await redis.type(name), ("GET",))
        if command == "ZRANGE":
            value = await redis.zrange(name, 0, -1, withscores=True)
        else:
            value = await redis.execute_command(command, name, *arguments)  # type: ignore[no-untyped-call]
        # One may be gone by now.
        found |= {} if value is None else {name.decode(): value}
    return found


def _pairs(found: list[bytes]) -> list[tuple[bytes, bytes]]:
    return list(zip(found[::2], found[1::2], strict=True))


async def snapshot(redis: Redis) -> dict[bytes, bytes]:
    """A copy of every key, as the server writes it down."""
    names = sorted([name async for name in redis.scan_iter(count=1000)])
    async with redis.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.dump(name)
        return dict(zip(names, await pipe.execute(), strict=True))


async def restore(redis: Redis, copy: dict[bytes, bytes]) -> None:
    """Put every key back as it was: what was written since is lost. At once, where there is one server."""
    clustered = isinstance(redis, ClusterRedis)
    if clustered:
        await redis.flushdb()
    async with redis.pipeline(transaction=not clustered) as pipe:
        if not clustered:
            pipe.flushdb()
        for name, value in copy.items():
            pipe.restore(name, 0, value, replace=clustered)
        await pipe.execute()


@dataclass
class Books:
    """Where each delivery of a source is, and what the books say of it."""

    lanes: dict[EndpointId, str] = field(default_factory=dict)
    """`r`, `p`, or the session that holds it."""
    waiting: dict[EndpointId, list[Reference]] = field(default_factory=dict)
    replays: dict[EndpointId, list[Reference]] = field(default_factory=dict)
    """What waits in the list of replays of an endpoint."""
    replaying: set[EndpointId] = field(default_factory=set)
    """The endpoints that are said to have such a list."""
    flying: dict[EndpointId, list[Reference]] = field(default_factory=dict)
    due: list[tuple[EndpointId, Reference]] = field(default_factory=list)
    dead: list[tuple[EndpointId, Reference, str]] = field(default_factory=list)
    behind: dict[EndpointId, list[Reference]] = field(default_factory=dict)
    """What waits behind a key of an endpoint that is ordered by one."""
    ready: list[EndpointId] = field(default_factory=list)
    parked: set[EndpointId] = field(default_factory=set)
    sessions: set[str] = field(default_factory=set)
    references: dict[int, int] = field(default_factory=dict)
    owed: dict[EndpointId, int] = field(default_factory=dict)
    blocked: dict[EndpointId, dict[str, int]] = field(default_factory=dict)
    """Keys that are blocked, each with the number of the event that it waits for."""
    waited_for: set[tuple[EndpointId, str]] = field(default_factory=set)
    """Keys that something waits behind."""
    blockers: set[EndpointId] = field(default_factory=set)
    sizes: dict[int, int] = field(default_factory=dict)
    """The bytes of each event that is kept."""
    blocks: dict[int, dict[bytes, bytes]] = field(default_factory=dict)
    """The blocks of the books: for each endpoint, what became of its deliveries."""

    @property
    def places(self) -> Counter[Delivery]:
        """How many places each delivery that has not ended stands in: one, if all is well."""
        found: Counter[Delivery] = Counter()
        for group in (self.waiting, self.replays, self.flying, self.behind):
            found.update((endpoint, ref.number) for endpoint, refs in group.items() for ref in refs)
        found.update((endpoint, ref.number) for endpoint, ref in self.due)
        found.update((endpoint, ref.number) for endpoint, ref, _ in self.dead)
        return found

    def faults(self, *, with_owed: bool = True) -> list[str]:
        """What does not add up, in words. `with_owed`: also what each endpoint's deliveries keep."""
        said = [f"{delivery} stands in {n} places" for delivery, n in self.places.items() if n > 1]
        said += [f"{endpoint} is {n} times ready" for endpoint, n in Counter(self.ready).items() if n > 1]
        ready = {endpoint for endpoint, state in self.lanes.items() if state == "r"}
        parked = {endpoint for endpoint, state in self.lanes.items() if state == "p"}
        held = {e: state for e, state in self.lanes.items() if state not in ("r", "p")}
        if ready != set(self.ready):
            said.append(f"ready by state {ready}, by list {self.ready}")
        if parked != self.parked:
            said.append(f"parked by state {parked}, by list {self.parked}")
        said += [f"{e} is held by {s}, which counts as gone" for e, s in held.items() if s not in self.sessions]
        said += [f"{e} has something in flight that nobody holds" for e in self.flying if e not in held]
        said += [f"{e} waits, and is idle" for e in {*self.waiting, *self.replays} if e not in self.lanes]
        if self.replaying != set(self.replays):
            said.append(f"{self.replaying} are said to have replays, {set(self.replays)} have some")
        counted = Counter(number // keys.EVENTS_PER_BUCKET for _, number in self.places.elements())
        kept = {bucket: count for bucket, count in self.references.items() if count}
        if kept != counted:
            said.append(f"references say {kept}, there are {dict(counted)}")
        if with_owed:
            keeps = Counter[EndpointId]()
            for endpoint, number in self.places.elements():
                keeps[endpoint] += self.sizes.get(number, 0)
            if {e: size for e, size in self.owed.items() if size} != {e: size for e, size in keeps.items() if size}:
                said.append(f"owed says {self.owed}, there are {dict(keeps)}")
        return said + self._faults_of_states() + self._faults_of_keys()

    @property
    def states(self) -> dict[Delivery, State]:
        """What the books say of each delivery that was owed."""
        return {
            (EndpointId(endpoint.decode()), block * keys.EVENTS_PER_BUCKET + offset): state
            for block, owed in self.blocks.items()
            for endpoint, halves in owed.items()
            for offset, state in states(halves)
        }

    def _faults_of_states(self) -> list[str]:
        """Where the books do not say of a delivery that it waits or is dead although it does or is, or the reverse."""
        dead = {(endpoint, ref.number) for endpoint, ref, _ in self.dead}
        there = {each for each in self.places if each[1] // keys.EVENTS_PER_BUCKET in self.blocks}
        said, known = [], self.states
        for state, found in ((State.DEAD, dead & there), (State.WAITING, there - dead)):
            told = {delivery for delivery, each in known.items() if each is state}
            if told != found:
                said.append(f"the books call {sorted(told - found)} {state.name}, and not {sorted(found - told)}")
        return said

    def _faults_of_keys(self) -> list[str]:
        going = {(endpoint, ref.number) for group in (self.waiting, self.flying) for endpoint in group
                 for ref in group[endpoint]} | {(endpoint, ref.number) for endpoint, ref in self.due}  # fmt: skip
        blocked = {(endpoint, key): number for endpoint, keys_ in self.blocked.items() for key, number in keys_.items()}
        said = [f"{lost} waits behind a key that nothing blocks" for lost in self.waited_for - set(blocked)]
        said += [
            f"{key} waits for {n} of {e}, which is nowhere" for (e, key), n in blocked.items() if (e, n) not in going
        ]
        return said + [f"{e} has blocked keys, and is not listed" for e in set(self.blocked) - self.blockers]


async def read_books(redis: Redis, source: SourceUid) -> Books:
    """Read a source's books."""
    books = Books()
    prefix = keys.prefix(source)
    for name, value in (await dump(redis, f"{prefix}*")).items():
        kind, _, rest = name.removeprefix(prefix).partition(":")
        endpoint = EndpointId(rest.partition(":")[0])
        match kind:
            case "lanes":
                books.lanes = {EndpointId(e.decode()): state.decode() for e, state in value.items()}
            case "lane":
                books.waiting[endpoint] = [parse_reference(ref) for ref in value]
            case "replays" if rest:
                books.replays[endpoint] = [parse_reference(ref) for ref in value]
            case "replaying":
                books.replaying = {EndpointId(e.decode()) for e in value}
            case "flight":
                books.flying[endpoint] = [parse_reference(ref) for ref in value]
            case "waiting":
                books.waited_for.add((endpoint, rest.partition(":")[2]))
                books.behind.setdefault(endpoint, []).extend(parse_reference(ref) for ref in value)
            case "due":
                books.due = [(EndpointId(e), parse_reference(r.encode())) for e, r in (_words(m) for m, _ in value)]
            case "dead":
                books.dead = [
                    (EndpointId(e), parse_reference(r.encode()), why) for e, r, why in (_words(m) for m, _ in value)
                ]
            case "ready":
                books.ready = [EndpointId(e.decode()) for e in value]
            case "parked":
                books.parked = {EndpointId(e.decode()) for e, _ in value}
            case "sessions":
                books.sessions = {s.decode() for s, _ in value}
            case "blocked":
                books.blocked[endpoint] = {key.decode(): int(number) for key, number in value.items()}
            case "blockers":
                books.blockers = {EndpointId(e.decode()) for e in value}
            case "owed":
                books.owed = {EndpointId(e.decode()): int(size) for e, size in value.items()}
            case "events":
                books.sizes |= {int(number): len(event) for number, event in value.items()}
            case "books":
                books.blocks[int(rest)] = value
            case "references":
                books.references = {int(bucket): int(count) for bucket, count in value.items()}
    return books


def _words(member: bytes) -> list[str]:
    return member.decode().split(" ", 2)
