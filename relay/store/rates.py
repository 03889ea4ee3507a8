"""The right to make requests: what bounds endpoints, over all workers."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from redis.asyncio import Redis

from relay.domain.rates import SLICES, Bounds
from relay.domain.sending.rights import Wanted
from relay.store import rate_keys
from relay.store.scripts import run_all, script

_Bound = tuple[str, str, int, int]
"""Its key, its kind and two numbers: see take_rights.lua."""


class Wish(NamedTuple):
    """Rights that somebody wants."""

    bounds: Bounds
    wanted: Wanted
    who: str = ""
    """The endpoint and the session, for those that have callbacks in flight."""


class Given(NamedTuple):
    """What there was of them."""

    number: int
    wait_s: float
    """Until there is another one, when there was none; 0: until callbacks of somebody are over."""
    at_ms: int
    """When they were taken, by the clock of the store."""


class Rates:
    """Everything that bounds requests."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def take(self, wishes: Sequence[Wish], *, lives_ms: int = 0) -> list[Given]:
        """For each wish take up to so many rights from everything that bounds it. One round trip.

        `lives_ms`: callbacks in flight count for so long if the worker says nothing more. Raises StoreUnavailable.
        """
        take = script("take_rights")
        calls = [(take, *arguments_of(wish, lives_ms=lives_ms)) for wish in wishes]
        answers = await run_all(self._redis, calls)
        return [Given(int(given), int(wait_us) / 1_000_000, int(at_ms)) for given, wait_us, at_ms in answers]


def arguments_of(wish: Wish, *, lives_ms: int) -> tuple[list[str], list[str | int]]:
    """The keys and the arguments of take_rights.lua."""
    bounds, wanted, who = wish
    listed = list(_listed(bounds))
    head: list[str | int] = [wanted.number, wanted.held, who, lives_ms, wanted.unused, wanted.taken_ms, SLICES]
    for _, kind, first, second in listed:
        head += (kind, first, second)
    return [key for key, *_ in listed], head


def _listed(bounds: Bounds) -> Iterator[_Bound]:
    for name, rate in bounds.steady:
        yield rate_keys.rate(name), "steady", rate, 0
    for name, window in bounds.windows:
        yield rate_keys.window(name, window.seconds), "window", window.limit, window.slice_ms
    for name, most in bounds.crowds:
        yield rate_keys.crowd(name), "crowd", most, 0
    if bounds.line:
        yield rate_keys.line(bounds.line), "line", 0, 0
