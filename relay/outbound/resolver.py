"""Lookups of names, none of which can delay another.

asyncio's own `getaddrinfo` runs in a pool of threads: six dead names fill it on two cores, and a healthy lookup waits
ten seconds. c-ares has any number of lookups under way on one thread, and reads /etc/hosts, search domains and ndots
as Kubernetes sets them.
"""

import asyncio
import math
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any, TypeVar

import aiodns

from relay.domain.addresses import Address

ALIVE_S = 10.0
"""Name servers that answered for any name so recently work: a name that they can't answer for is itself at fault."""
REMEMBERED_S = 3600.0
"""The longest that c-ares itself remembers an answer: an answer before that may not come from a name server."""
AGAIN_AFTER = 0.1
"""Of the time-out: the pause before a second try."""
MAX_NAMES = 50_000
"""Names kept in the cache; with more, the oldest go first."""


class LookupFailed(Exception):  # noqa: N818 - named for what happened, like relay.errors
    """The name has no address (`absent`), or nobody could tell in time. `ours`: no name got an answer lately."""

    def __init__(self, message: str, *, absent: bool, ours: bool = False) -> None:
        super().__init__(message)
        self.absent = absent
        self.ours = ours


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """Every address of a name, the one to try first in front (RFC 6724), and the loop's time until which that holds."""

    addresses: tuple[Address, ...]
    given_at: float
    refresh_at: float
    fresh_until: float


class Resolver:
    """Looks names up: each name once at a time, with answers and failures kept for a short while.

    `nameservers` are `address:port` texts; None: those of the system. An answer that is in use is renewed before it
    ends, and outlives its end by `grace_s` while no name server can tell (RFC 8767). Times are in seconds.

    c-ares itself remembers a record for its TTL, an hour at most: what is asked sooner may not leave this machine.
    """

    def __init__(
        self,
        *,
        nameservers: Sequence[str] | None = None,
        timeout_s: float = 2.0,
        min_ttl_s: float = 5.0,
        max_ttl_s: float = 60.0,
        failure_ttl_s: float = 3.0,
        grace_s: float = 300.0,
    ) -> None:
        self._nameservers = nameservers
        self._timeout_s = timeout_s
        self._ttl_s = (min_ttl_s, max_ttl_s)
        self._failure_ttl_s = failure_ttl_s
        self._grace_s = grace_s
        self._dns: aiodns.DNSResolver | None = None
        self._answers: dict[str, Answer] = {}
        self._failures: dict[str, tuple[LookupFailed, float]] = {}
        self._running: dict[str, asyncio.Task[Answer]] = {}
        self._answered_at = -math.inf
        """When the name servers last told something of any name."""
        self._remembered: dict[str, float] = {}
        """Until when c-ares may answer for a name from memory."""

    def peek(self, name: str, now: float) -> Answer | None:
        """The answer that holds at `now`, the loop's time, if there is one; an old one is renewed in the background."""
        answer = self._answers.get(name)
        if answer is None or now >= answer.fresh_until:
            return None
        if now >= answer.refresh_at:
            _ = self._start(name)
        return answer

    async def resolve(self, name: str) -> Answer:
        """Give every address of a name. Raises LookupFailed. Ends within the time-out, whatever the servers do."""
        now = asyncio.get_running_loop().time()
        if answer := self.peek(name, now):
            return answer
        failure, until = self._failures.get(name, (None, 0.0))
        if failure and now < until:
            raise LookupFailed(*failure.args, absent=failure.absent, ours=failure.ours)
        # Shielded, because others wait for the same lookup.
        return await asyncio.shield(self._start(name))

    async def close(self) -> None:
        """Give up what is under way."""
        running = tuple(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self._dns is not None:
            await self._dns.close()

    def _start(self, name: str) -> asyncio.Task[Answer]:
        if (task := self._running.get(name)) is None:
            task = asyncio.create_task(self._look_up(name))
            self._running[name] = task
            task.add_done_callback(lambda done: self._finish(name, done))
        return task

    async def _look_up(self, name: str) -> Answer:
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await self._ask(name)
        except TimeoutError:
            return self._outlive(name, LookupFailed(_SILENT, absent=False, ours=self.are_down()))
        except aiodns.error.DNSError as error:
            failure = _failure(error.args[0])
            if failure.absent:
                self._hear(name, REMEMBERED_S)
            else:
                failure.ours = self.are_down()
            return self._outlive(name, failure)
        self._hear(name, max((node.ttl for node in found.nodes), default=REMEMBERED_S))
        addresses = dict.fromkeys(ip_address(node.addr[0].decode()) for node in found.nodes)
        if not addresses:
            raise _failure(aiodns.error.ARES_ENODATA)
        low, high = self._ttl_s
        return _answer(tuple(addresses), min(max(min(node.ttl for node in found.nodes), low), high))

    async def _ask(self, name: str) -> Any:
        """Ask until there is an answer, or the name is known not to exist; the caller bounds the time.

        c-ares waits as long as its servers usually take, which is a few ms: one lost packet must not cost the name.
        """
        again = 0
        while True:
            try:
                return await self._channel().getaddrinfo(name, family=socket.AF_UNSPEC)
            except aiodns.error.DNSError as error:
                code = error.args[0]
                if code in _ABSENT or (code != aiodns.error.ARES_ETIMEOUT and again):
                    raise
                again += code != aiodns.error.ARES_ETIMEOUT
                await asyncio.sleep(self._timeout_s * AGAIN_AFTER)

    def _hear(self, name: str, ttl_s: float) -> None:
        """Note that the name servers told something, unless c-ares may have had it in memory."""
        now = asyncio.get_running_loop().time()
        if now >= self._remembered.get(name, -math.inf):
            self._answered_at = now
            _put(self._remembered, name, now + min(ttl_s, REMEMBERED_S))

    def are_down(self) -> bool:
        """Whether no name got an answer lately: then a failure says nothing of the name.

        So a name whose own zone is broken is not blamed while no other name is looked up. Asking the name servers for
        the root, or for a top-level domain, would not tell either: they answer that from memory for days, also when
        they can't reach anybody.
        """
        return asyncio.get_running_loop().time() - self._answered_at > ALIVE_S

    def _channel(self) -> aiodns.DNSResolver:
        if self._dns is None:
            # Two tries, the second twice as long, fit into the time-out.
            self._dns = aiodns.DNSResolver(timeout=self._timeout_s / 3, tries=2, servers=self._nameservers)
        return self._dns

    def _outlive(self, name: str, failure: LookupFailed) -> Answer:
        """Keep to the last answer for a while when nobody can tell; raise the failure otherwise."""
        last, now = self._answers.get(name), asyncio.get_running_loop().time()
        if failure.absent or last is None or now > last.given_at + self._ttl_s[1] + self._grace_s:
            raise failure
        again = now + self._failure_ttl_s
        return replace(last, refresh_at=again, fresh_until=again + self._timeout_s)

    def _finish(self, name: str, task: asyncio.Task[Answer]) -> None:
        self._running.pop(name, None)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            _put(self._answers, name, task.result())
            self._failures.pop(name, None)
        elif isinstance(error, LookupFailed):
            _put(self._failures, name, (error, asyncio.get_running_loop().time() + self._failure_ttl_s))


_SILENT = "its name servers did not answer in time"

_ABSENT = {aiodns.error.ARES_ENOTFOUND, aiodns.error.ARES_ENODATA, aiodns.error.ARES_EBADNAME}

_Value = TypeVar("_Value")


def _answer(addresses: tuple[Address, ...], ttl_s: float) -> Answer:
    now = asyncio.get_running_loop().time()
    return Answer(addresses, now, now + ttl_s * 0.75, now + ttl_s)


def _failure(code: int) -> LookupFailed:
    if code in _ABSENT:
        return LookupFailed("its name has no address", absent=True)
    silent = code == aiodns.error.ARES_ETIMEOUT
    return LookupFailed(_SILENT if silent else "its name servers gave no usable answer", absent=False)


def _put(cache: dict[str, _Value], name: str, value: _Value) -> None:
    cache.pop(name, None)
    cache[name] = value
    while len(cache) > MAX_NAMES:
        del cache[next(iter(cache))]
