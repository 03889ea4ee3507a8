"""Listening to the tail: one subscription for all listeners of a process, and a bounded queue for each."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from weakref import WeakSet

import structlog

from relay.domain.principals import Principal
from relay.domain.tail import Batch, Entry, Interest
from relay.errors import StoreRefused, StoreUnavailable, TooMany
from relay.store.tail import Tail

log = structlog.get_logger()

LISTENERS_MOST = 50
"""Listeners of one process."""
EACH_MOST = 10
"""Those of one API key, or one token of the portal."""
APPLICATION_MOST = 20
"""Those of all keys and tokens that are bound to one application: a subscriber can have many."""
BOUND_MOST = 40
"""Those of all bound keys and tokens: the rest is left to operators."""
HELD_MOST = 1_000
"""Entries that wait for a slow reader, 0.4 MB. The oldest are dropped for new ones, and counted."""
WANT_S = 2.0
RETRY_S = 1.0
BEGIN_WITHIN_S = 5.0


class Listener:
    """The entries that wait for one reader."""

    def __init__(self, owner: Principal, interest: Interest) -> None:
        self.owner, self.interest = owner, interest
        self._entries: deque[Entry] = deque()
        self._lost = 0
        self._is_interrupted = False
        self._awake = asyncio.Event()

    def put(self, batch: Batch) -> None:
        """Entries came. Those that nobody could show count as lost for every listener."""
        wants, before = self.interest.wants, len(self._entries)
        self._entries.extend(entry for entry in batch.entries if wants(entry))
        lost = batch.lost
        while len(self._entries) > HELD_MOST:
            self._entries.popleft()
            lost += 1
        self._lost += lost
        if lost or len(self._entries) > before:
            self._awake.set()

    def interrupt(self) -> None:
        """Nobody knows what is missed."""
        self._is_interrupted = True
        self._awake.set()

    async def wait(self, seconds: float) -> None:
        """Wait until there is something to take, but not longer."""
        try:
            async with asyncio.timeout(seconds):
                await self._awake.wait()
        except TimeoutError:
            pass

    def take(self) -> tuple[list[Entry], int | None]:
        """All that waits, and how many entries were lost before it. None: some, nobody knows how many."""
        self._awake.clear()
        lost = None if self._is_interrupted else self._lost
        entries = list(self._entries)
        self._entries.clear()
        self._lost, self._is_interrupted = 0, False
        return entries, lost


class Listening:
    """The listeners of a process. It subscribes with the first one, and ends the subscription with the last."""

    def __init__(self, tail: Tail) -> None:
        self._tail = tail
        # The framework may drop a response without having begun it: then nobody would take its listener away.
        self._listeners = WeakSet[Listener]()
        self._task: asyncio.Task[None] | None = None
        self._subscribed = asyncio.Event()

    async def listen(self, owner: Principal, interest: Interest) -> Listener:
        """A new listener, which misses nothing from now on. Raises TooMany or StoreUnavailable."""
        check_room([each.owner for each in self._listeners], owner)
        listener = Listener(owner, interest)
        self._listeners.add(listener)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="tail")
        try:
            async with asyncio.timeout(BEGIN_WITHIN_S):
                await self._subscribed.wait()
        except TimeoutError:
            self.leave(listener)
            raise StoreUnavailable("the tail could not be read from Redis") from None
        return listener

    def leave(self, listener: Listener) -> None:
        """A reader is gone."""
        self._listeners.discard(listener)

    async def aclose(self) -> None:
        """End the subscription."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._task is asyncio.current_task():
            try:
                await self._follow()
            except (StoreUnavailable, StoreRefused) as error:
                self._subscribed.clear()
                for listener in list(self._listeners):
                    listener.interrupt()
                log.warning("tail_interrupted", error=str(error))
                await asyncio.sleep(RETRY_S)
                if not self._listeners:
                    self._end()

    async def _follow(self) -> None:
        """Pass on what is published, until nobody listens any more. Raises StoreUnavailable."""
        loop, next_want = asyncio.get_running_loop(), 0.0
        async with aclosing(self._tail.listen()) as batches:
            async for batch in batches:
                self._subscribed.set()
                if not self._listeners:
                    # From here on, a new listener begins a subscription of its own.
                    self._end()
                    return
                if batch is not None:
                    for listener in list(self._listeners):
                        listener.put(batch)
                if loop.time() >= next_want:
                    next_want = loop.time() + WANT_S
                    await self._tail.want()

    def _end(self) -> None:
        self._task = None
        self._subscribed.clear()


def check_room(listening: Sequence[Principal], owner: Principal) -> None:
    """Raise TooMany unless a principal can have one more listener, in addition to those of some principals."""
    applications = [each.application for each in listening if each.application is not None]
    held = [
        ("this API key has", sum(each.id == owner.id for each in listening), EACH_MOST),
        ("this process has", len(listening), LISTENERS_MOST),
    ]
    if owner.application is not None:
        held += [
            ("your application has", applications.count(owner.application), APPLICATION_MOST),
            ("the applications of this process have", len(applications), BOUND_MOST),
        ]
    for whose, count, most in held:
        if count >= most:
            raise TooMany(f"{whose} {most} tails already: close one", retry_after_s=10)


@asynccontextmanager
async def open_listening(tail: Tail) -> AsyncIterator[Listening]:
    """What listens, for as long as this is used."""
    listening = Listening(tail)
    try:
        yield listening
    finally:
        await listening.aclose()
