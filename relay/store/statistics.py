"""What statistics are read from."""

from typing import NamedTuple

from redis.asyncio import Redis

from relay.store.conditions import Conditions
from relay.store.held_back import HeldBack
from relay.store.oldest import Oldest
from relay.store.queues import Queues
from relay.store.tallies import Tallies
from relay.store.usage import UsageTasks


class Statistics(NamedTuple):
    """The stores of statistics."""

    tallies: Tallies
    queues: Queues
    conditions: Conditions
    held_back: HeldBack
    usage: UsageTasks
    oldest: Oldest

    @staticmethod
    def of(redis: Redis) -> "Statistics":
        """All of them, over one client."""
        return Statistics(
            Tallies(redis), Queues(redis), Conditions(redis), HeldBack(redis), UsageTasks(redis), Oldest(redis)
        )
