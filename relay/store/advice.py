"""What is advisable of a Redis server and of the way to it, and is not needed to work: see also relay.store.needs."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, NamedTuple

import structlog
from redis.asyncio import Redis
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection
from redis.exceptions import NoPermissionError, RedisError, ResponseError

from relay.store.cluster import servers

log = structlog.get_logger()

ASKED = ("appendonly", "appendfsync", "maxmemory", "maxmemory-policy")
"""Settings that CONFIG GET shows. INFO shows all but `appendfsync`, on most servers."""
ENCRYPT = "use rediss:// in RELAY_REDIS_URL, or a network that nobody else reads"
GRANT = "grant the relay's user +config|get to have them checked, or see to them yourself"


class Finding(NamedTuple):
    """One thing that is not as it should be."""

    setting: str
    reason: str
    do: str


class Way(NamedTuple):
    """How the relay reaches a server."""

    is_local: bool
    """By a socket in the file system, or on this machine."""
    is_encrypted: bool
    verifies: bool
    """Whether it checks the server's certificate."""
    takes_anybody: bool
    """Whether the server takes clients that give no password."""


class Advice(NamedTuple):
    """What was found out about a server, or all nodes of a cluster."""

    findings: list[Finding]
    unchecked: list[str]
    """Settings that the relay's user may not read."""
    is_in_the_clear: bool
    """Whether the relay reaches a server on another machine without TLS."""


async def advice_of(redis: Redis) -> Advice:
    """Look at a server. Raises StoreUnavailable."""
    findings: dict[str, Finding] = {}
    unchecked: set[str] = set()
    is_in_the_clear = False
    for node in await servers(redis):
        told, way = await _told(node), await _way(node)
        findings |= {each.setting: each for each in (*of_settings(told), *of_way(way))}
        unchecked |= {name for name in ASKED if told.get(name) is None}
        is_in_the_clear |= not way.is_encrypted and not way.is_local
    return Advice(list(findings.values()), sorted(unchecked), is_in_the_clear)


async def advise(redis: Redis) -> None:
    """Log what an operator should change, and what could not be checked. Raises StoreUnavailable."""
    advice = await advice_of(redis)
    for each in advice.findings:
        log.warning("redis_setting_wrong", setting=each.setting, reason=each.reason, do=each.do)
    if advice.is_in_the_clear:
        log.info("redis_not_encrypted", do=ENCRYPT)
    if advice.unchecked:
        log.info("redis_settings_unchecked", settings=advice.unchecked, do=GRANT)


def of_settings(told: Mapping[str, str | None]) -> list[Finding]:
    """What is wrong with the settings that a server told; None: it did not tell."""
    found = []
    if told.get("appendonly") in ("no", "0"):
        lost = "Redis writes no append-only file, so its end loses configuration, and events that were not delivered"
        found.append(Finding("appendonly", lost, "Set appendonly yes"))
    elif told.get("appendfsync") == "no":
        lost = "Redis leaves it to the system when to write, so a power failure loses more than a second"
        found.append(Finding("appendfsync", lost, "Set appendfsync everysec, or always"))
    if told.get("maxmemory") == "0":
        grows = "Redis has no limit of memory, so the relay cannot see when it is nearly full"
        found.append(Finding("maxmemory", grows, "Set maxmemory below the memory of the server (docs/performance.md)"))
    return found


def of_way(way: Way) -> list[Finding]:
    """What is wrong with the way to a server."""
    found = []
    if way.takes_anybody and not way.is_local:
        everybody = "Redis takes clients that give no password, so anybody in its network can read and change events"
        do = "Set requirepass, or an ACL user and `user default off`, and put the password into RELAY_REDIS_URL"
        found.append(Finding("requirepass", everybody, do))
    if way.is_encrypted and not way.verifies:
        anybody = "the certificate of Redis is not checked, so another server can take its place"
        do = "Remove ssl_cert_reqs from RELAY_REDIS_URL, and set ssl_ca_certs"
        found.append(Finding("ssl_cert_reqs", anybody, do))
    return found


async def _told(node: Redis) -> dict[str, str | None]:
    """The settings of a server: as CONFIG says or, if the user may not use that, INFO."""
    try:
        given: Mapping[Any, Any] = await node.config_get(*ASKED)  # type: ignore[arg-type]
        return {_text(name): _text(value) for name, value in given.items()}
    except (NoPermissionError, ResponseError):
        info: dict[str, Any] = await node.info()
    shown = {"appendonly": "aof_enabled", "maxmemory": "maxmemory", "maxmemory-policy": "maxmemory_policy"}
    return {name: str(info[field]) if field in info else None for name, field in shown.items()}


async def _way(node: Redis) -> Way:
    kind, options = node.connection_pool.connection_class, node.connection_pool.connection_kwargs
    is_encrypted = issubclass(kind, SSLConnection)
    verifies = str(options.get("ssl_cert_reqs", "required")).lower() not in ("none", "0", "optional")
    is_local = issubclass(kind, UnixDomainSocketConnection) or _is_this_machine(str(options.get("host", "localhost")))
    return Way(is_local, is_encrypted, verifies, await takes_anybody(node))


async def takes_anybody(node: Redis) -> bool:
    """Whether a server takes a client that gives no password."""
    pool = node.connection_pool
    nobody = dict.fromkeys(("username", "password", "credential_provider"))
    connection = pool.connection_class(**(pool.connection_kwargs | nobody))
    try:
        await connection.connect()  # type: ignore[no-untyped-call]
        await connection.send_command("PING")
        return _text(await connection.read_response()) == "PONG"
    except (RedisError, OSError):
        return False
    finally:
        await connection.disconnect()


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
