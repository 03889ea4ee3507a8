"""What the relay needs of its Redis server: a version, a policy, and the right to use commands, keys and channels."""

import re
from collections.abc import Iterable, Sequence

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, RedisError, ResponseError

from relay.store import keys
from relay.store.cluster import ClusterRedis, address_of, servers
from relay.store.refusals import CLUSTER_FORM, sorted_out

OLDEST = (7, 0)
"""Scripts begin with `#!lua`, which Redis 7.0 introduced."""
PROBE = keys.config("probe")
NOTHING = keys.config("nothing")
"""Never written."""
PROBES = (
    PROBE,
    "relay:s:{probe}:probe",
    "relay:{endpoints}:probe",
    "relay:{rates}:probe",
    "arq:{jobs}:probe",
    "relay:{jobs}:probe",
)
"""One key of each kind that the relay and arq use."""
PROBE_LIVES_MS = 60_000
CLOCKS_WITHIN_S = 5
"""By which the clocks of the nodes of a cluster may differ."""
SENTINEL_FORM = "redis+sentinel://host:26379/name-of-the-master"
COMMANDS = """
    PING | TIME | INFO memory | INFO server | DBSIZE | SCRIPT LOAD return | EVAL return 0
    GET {key} | SET {key} 1 PX 60000 | SETEX {key} 60 1 | PSETEX {key} 60000 1 | INCR {key} | INCRBY {key} 1
    MGET {key} | EXISTS {key} | EXPIRE {key} 60 | PEXPIRE {key} 60000 | DEL {key} | UNLINK {key} | SCAN 0 COUNT 1
    HSET {key} a 1 | HSETNX {key} a 1 | HGET {key} a | HMGET {key} a | HGETALL {key} | HKEYS {key} | HVALS {key}
    HLEN {key} | HEXISTS {key} a | HSTRLEN {key} a | HDEL {key} a | HINCRBY {key} a 1 | HRANDFIELD {key} | HSCAN {key} 0
    LPUSH {key} a | RPUSH {key} a | LPOP {key} | LLEN {key} | LINDEX {key} 0 | LRANGE {key} 0 1 | LTRIM {key} 0 1
    LREM {key} 0 a | LMOVE {key} {key} LEFT LEFT
    SADD {key} a | SREM {key} a | SPOP {key} | SCARD {key} | SMEMBERS {key} | SMISMEMBER {key} a
    ZADD {key} 1 a | ZREM {key} a | ZINCRBY {key} 1 a | ZSCORE {key} a | ZCARD {key} | ZCOUNT {key} 0 1
    ZRANGE {key} 0 1 | ZRANGEBYSCORE {key} 0 1 | ZREVRANGEBYSCORE {key} 1 0 | ZRANGEBYLEX {key} - +
    ZREVRANGEBYLEX {key} + - | ZREMRANGEBYLEX {key} - + | ZREMRANGEBYSCORE {key} 0 1 | ZREMRANGEBYRANK {key} 0 1
    ZSCAN {key} 0
    XADD {key} * a 1 | XRANGE {key} - + COUNT 1 | XREVRANGE {key} + - COUNT 1 | PUBLISH relay:probe 1
"""
"""Every command that the relay and arq use, as it can be tried without any effect. {key} is a key of its own."""
GRANT = "~relay:* ~arq:* &relay:* +@all -@admin -@dangerous +info"
"""The rules of an ACL user that may do what the relay does, and little else."""

_FORBIDDEN = re.compile(r"permissions? to (run the '(?P<command>[^']{1,64})'|access (?P<what>[a-z ]{1,60}))", re.I)


async def unmet_needs(redis: Redis) -> list[str]:
    """What is wrong with the server, or with nodes of the cluster, each in a sentence; []: the relay can work with it.

    Raises StoreUnavailable.
    """
    if not isinstance(redis, ClusterRedis):
        return await _unmet(redis)
    nodes = await servers(redis)
    found = [f"{address_of(node)}: {trouble}" for node in nodes for trouble in await _unmet(node, in_cluster=True)]
    return found or of_clocks([(await node.time())[0] for node in nodes])


async def _unmet(redis: Redis, *, in_cluster: bool = False) -> list[str]:
    forbidden = [*await _forbidden_commands(redis), *await _forbidden_keys(redis), *await _forbidden_channels(redis)]
    if forbidden:
        return [f"The Redis user may not use {', '.join(forbidden)}. Grant it: {GRANT}"]
    told: dict[str, object] = await redis.info()
    # Valkey has another name for it than Redis.
    mode = told.get("server_mode", told.get("redis_mode"))
    if wrong := of_mode(mode, in_cluster=in_cluster):
        return wrong
    return [*_of_version(str(told.get("redis_version", ""))), *of_policy(told.get("maxmemory_policy"))]


def of_mode(mode: object, *, in_cluster: bool) -> list[str]:
    """What is wrong with the mode that INFO names: a server of that mode needs a URL of another form."""
    if mode == "cluster" and not in_cluster:
        return [f"The server is a node of a cluster. Set RELAY_REDIS_URL to {CLUSTER_FORM}"]
    if mode == "sentinel":
        return [f"The server is a Sentinel. Set RELAY_REDIS_URL to {SENTINEL_FORM}"]
    return []


def of_clocks(seconds: Sequence[int]) -> list[str]:
    """What is wrong with the clocks of a cluster's nodes: what is due is due by the clock of the node that has it."""
    apart = max(seconds) - min(seconds)
    if apart <= CLOCKS_WITHIN_S:
        return []
    return [f"The clocks of the cluster's nodes differ by {apart} s. Set them by NTP"]


def of_policy(policy: object) -> list[str]:
    """What is wrong with a `maxmemory-policy`: one that evicts keys deletes configuration and events."""
    if policy in (None, "noeviction"):
        return []
    return [f"Redis evicts keys (maxmemory-policy {policy}), and would delete events. Set maxmemory-policy noeviction"]


def _of_version(version: str) -> list[str]:
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isascii() and part.isdecimal())
    if len(numbers) == len(OLDEST) and numbers < OLDEST:
        return [f"Redis {version} is too old. Use Redis 7.0 or newer, or Valkey"]
    return []


async def _forbidden_commands(redis: Redis) -> list[str]:
    async with redis.pipeline(transaction=False) as pipe:
        for command in COMMANDS.replace("\n", "|").split("|"):
            if words := command.split():
                pipe.execute_command(*(word.replace("{key}", PROBE) for word in words))
        pipe.delete(PROBE)
        forbidden = _forbidden(await pipe.execute(raise_on_error=False))
    return forbidden + await _forbidden_transactions(redis)


async def _forbidden_transactions(redis: Redis) -> list[str]:
    async with redis.pipeline(transaction=True) as pipe:
        try:
            await pipe.watch(NOTHING)
            pipe.multi()  # type: ignore[no-untyped-call]
            pipe.get(NOTHING)
            await pipe.execute()
        except RedisError as error:
            if not isinstance(error, ResponseError):
                raise sorted_out(error) from error
            # Any other refusal, such as that of a full server, is no missing right.
            return ["multi"] if "EXEC without MULTI" in str(error) else _forbidden([error, error.__cause__])
    return []


async def _forbidden_keys(redis: Redis) -> list[str]:
    forbidden = []
    for key in PROBES:
        async with redis.pipeline(transaction=False) as pipe:
            pipe.set(key, b"1", px=PROBE_LIVES_MS)
            pipe.get(key)
            pipe.delete(key)
            if _forbidden(await pipe.execute(raise_on_error=False)):
                forbidden.append(f"keys like {key.removesuffix('probe')}*")
    return forbidden


async def _forbidden_channels(redis: Redis) -> list[str]:
    async with redis.pubsub() as channel:
        try:
            await channel.subscribe(*keys.CHANNELS)
            for _ in keys.CHANNELS:
                await channel.get_message(timeout=1.0)
        except NoPermissionError as error:
            return _forbidden([error])
        except RedisError as error:
            raise sorted_out(error) from error
    return []


def _forbidden(answers: Iterable[object]) -> list[str]:
    """What the refusals among some answers are about, each once."""
    refused = [str(answer)[:1000] for answer in answers if isinstance(answer, NoPermissionError)]
    return list(dict.fromkeys(_subject(refusal) for refusal in refused))


def _subject(refusal: str) -> str:
    found = _FORBIDDEN.search(refusal)
    return (found["command"] or found["what"]).strip() if found else refusal[:100]
