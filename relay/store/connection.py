"""Connecting to Redis by a URL: to one server, to the master that Sentinels know, or to a cluster."""

from collections.abc import Awaitable
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.cluster import ClusterParser
from redis.asyncio.connection import parse_url

from relay.store.client import StoreRedis
from relay.store.cluster import ClusterRedis, slot_of
from relay.store.own_connection import Place, use_own_connections
from relay.store.redis_url import RedisUrl, read_url
from relay.store.sentinel import SentinelPlace
from relay.store.slots import SlotPlace, Slots

ANSWER_WITHIN_S = 5.0
CONNECT_WITHIN_S = 2.0


def connect(url: str, *, server: type[Redis] = StoreRedis, cluster: type[ClusterRedis] = ClusterRedis) -> Redis:
    """A client for a URL, see docs/configuration.md. Nothing is dialled before the first command.

    `server` and `cluster` are the kinds of the client.
    """
    read = read_url(url)
    options = _options(read, protocol=3, health_check_interval=15)
    if read.kind == "cluster":
        return cluster(Slots(read.hosts, options), options)
    client: Redis = server.from_pool(_pool(options, _place(read, options)))
    return client


def connect_to_one(url: str, key: str, **options: Any) -> ConnectionPool:
    """Connections for a client that can't route commands: to the server that has `key`, and all keys of its tag."""
    read = read_url(url)
    options = _options(read, **options)
    if read.kind != "cluster":
        return _pool(options, _place(read, options))
    slot = slot_of("GET", key) or 0
    return _pool({**options, "parser_class": ClusterParser}, SlotPlace(Slots(read.hosts, options), slot))


def _options(read: RedisUrl, **defaults: Any) -> dict[str, Any]:
    """What a pool is made with. What the URL says counts more than `defaults`."""
    limits = {"socket_timeout": ANSWER_WITHIN_S, "socket_connect_timeout": CONNECT_WITHIN_S}
    return {**limits, **defaults, **parse_url(read.singles[0])}


def _place(read: RedisUrl, options: dict[str, Any]) -> Place:
    return SentinelPlace(read, options) if read.kind == "sentinel" else Place()


def _pool(options: dict[str, Any], place: Place) -> ConnectionPool:
    pool = ConnectionPool(**options)
    use_own_connections(pool, place)
    return pool


async def ping(redis: Redis) -> None:
    """Ask for a sign of life. Raises StoreUnavailable."""
    answer: Awaitable[bool] | bool = redis.ping()
    if not isinstance(answer, bool):
        await answer
