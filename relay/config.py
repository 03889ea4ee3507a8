"""Settings: what `RELAY_*` variables say, checked all at once. Only the entry points read the environment."""

import base64
import binascii
import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from relay.domain.model import Secret
from relay.errors import Fault, Invalid

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _text(value: str) -> str:
    return value


def _port(value: str) -> int:
    return _whole(value, 0, 65535)


def _whole(value: str, low: int, high: int) -> int:
    number = int(value) if value.strip().isdecimal() else None
    if number is None or not low <= number <= high:
        raise ValueError(f"must be a whole number from {low} to {high}")
    return number


def _count(value: str) -> int:
    return _whole(value, 1, 2**53)


def _seconds(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0.01 <= number <= 31_536_000:
        raise ValueError("must be a number of seconds, 0.01 or more")
    return number


def _share(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0.1 <= number <= 0.99:
        raise ValueError("must be a share from 0.1 to 0.99")
    return number


def _schedule(value: str) -> tuple[float, ...]:
    return tuple(_seconds(part) for part in value.split(",") if part.strip())


def _networks(value: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in value.split(",") if part.strip())
    except ValueError as error:
        raise ValueError(f"must be networks like 10.1.0.0/16, by comma: {error}") from None


def _ports(value: str) -> tuple[int, ...]:
    return tuple(_whole(part.strip(), 1, 65535) for part in value.split(",") if part.strip())


def _texts(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _proxy(value: str) -> Secret:
    if not value.startswith(("http://", "https://")):
        raise ValueError("must be the URL of a proxy, like http://proxy:3128")
    return Secret(value)


def _choice(*allowed: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return value

    return read


def _encryption_keys(value: str) -> tuple[Secret, ...]:
    keys = tuple(Secret(part.strip()) for part in value.split(",") if part.strip())
    for key in keys:
        try:
            raw = base64.b64decode(key.reveal(), validate=True)
        except binascii.Error:
            raw = b""
        if len(raw) != 32:
            raise ValueError("must be 32 bytes in base64 (several, by comma: the first encrypts)")
    return keys


def _secret(value: str) -> Secret:
    if len(value) < 16:
        raise ValueError("must have at least 16 characters")
    return Secret(value)


def _setting(read: Callable[[str], Any], default: Any, text: str, *, needed: bool = False) -> Any:
    return field(default=default, metadata={"read": read, "text": text, "needed": needed})


STANDARD_SCHEDULE = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
"""Standard Webhooks 1.0: with the first try at once, ten tries over 75 h 35 m."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that can be set. Each field is the variable `RELAY_` + its name in capitals."""

    redis_url: Secret | None = _setting(
        Secret,
        None,
        "Redis or Valkey, e.g. `redis://user:password@host:6379/0`. None: an embedded Valkey under `RELAY_DATA_DIR`",
    )
    data_dir: Path = _setting(Path, Path("data"), "Where the embedded Valkey keeps its files")
    admin_key: Secret | None = _setting(
        _secret, None, "The first full-access API key, 16 characters or more", needed=True
    )
    encryption_key: tuple[Secret, ...] = _setting(
        _encryption_keys,
        (),
        "32 bytes in base64 that seal secrets at rest; several by comma: the first seals, all open",
        needed=True,
    )
    host: str = _setting(_text, "127.0.0.1", "The address that `relay serve` and the worker's health server listen on")
    port: int = _setting(_port, 8080, "The port of the REST API")
    worker_port: int = _setting(_port, 8081, "The port of the worker's health server; 0: any free one")
    log_format: str = _setting(_choice("json", "text"), "json", "`json` or `text`")
    log_level: str = _setting(
        _choice("debug", "info", "warning", "error"), "info", "`debug`, `info`, `warning` or `error`"
    )
    egress_allow: tuple[Network, ...] = _setting(
        _networks, (), "Networks (CIDR, by comma) that callbacks may reach although they are private, by http too"
    )
    egress_deny: tuple[Network, ...] = _setting(
        _networks,
        (),
        "Networks (CIDR, by comma) that callbacks must not reach although they are public, "
        "such as the cluster's own pods, services and nodes",
    )
    egress_ports: tuple[int, ...] = _setting(
        _ports, (443, 8443), "Ports that callbacks may go to, by comma; networks of `RELAY_EGRESS_ALLOW` have all"
    )
    egress_proxy: Secret | None = _setting(
        _proxy,
        None,
        "A forward proxy for https callbacks, e.g. `http://proxy:3128`; its faults are not charged to endpoints",
    )
    nameservers: tuple[str, ...] = _setting(
        _texts, (), "Name servers for the look-up of endpoints, `address:port` by comma; none: those of the system"
    )
    attempt_timeout_seconds: float = _setting(
        _seconds, 20.0, "The deadline of one attempt, from the first look-up to the last byte read"
    )
    retry_schedule: tuple[float, ...] = _setting(
        _schedule, STANDARD_SCHEDULE, "Seconds before each further try of a delivery, by comma"
    )
    dispatch_slots: int = _setting(_count, 512, "Callbacks that one worker has in flight at most")
    overlap_rows: int = _setting(_count, 100_000, "How many rowIds behind the cursor are read again at most")
    overlap_seconds: float = _setting(_seconds, 600.0, "How long a row may show up late and still be found at once")
    overlap_interval_seconds: float = _setting(_seconds, 60.0, "How often the rows behind the cursor are read again")
    retention_seconds: float = _setting(
        _seconds, 86_400.0, "How long events are kept after they were stored; undelivered ones stay"
    )
    dead_retention_seconds: float = _setting(_seconds, 1_209_600.0, "How long given-up deliveries can be sent again")
    attempt_log_bytes: int = _setting(
        _count, 268_435_456, "Memory for the attempt log of one source; the oldest go first"
    )
    endpoint_backlog_bytes: int = _setting(
        _count,
        268_435_456,
        "Bytes of events that one endpoint may keep waiting, given-up ones included; the oldest are dropped first",
    )
    endpoint_backlog_seconds: float = _setting(
        _seconds, 1_209_600.0, "How long an event may wait for an endpoint before it is dropped"
    )
    memory_shed_share: float = _setting(
        _share, 0.75, "The share of Redis's `maxmemory` from which attempts, then delivered events, go early"
    )
    memory_stop_share: float = _setting(
        _share, 0.85, "The share of Redis's `maxmemory` from which no source is polled, until it is 0.05 lower"
    )


def variable(name: str) -> str:
    """The environment variable of a field."""
    return "RELAY_" + name.upper()


def load(environ: Mapping[str, str]) -> Settings:
    """Read settings from an environment.

    Raises Invalid with every fault at once: unknown `RELAY_*` names (a typo must not pass unseen), values that break
    a rule, and needed ones that are missing. An empty value counts as not set.
    """
    known = {variable(f.name): f for f in fields(Settings)}
    faults = [
        Fault((name,), "is no setting of the relay; docs/configuration.md lists them all", "unknown")
        for name in sorted(environ)
        if name.startswith("RELAY_") and name not in known and not name.startswith("RELAY_TEST_")
    ]
    values: dict[str, Any] = {}
    for name, setting in known.items():
        text = environ.get(name, "")
        if not text:
            if setting.metadata["needed"]:
                faults.append(Fault((name,), f"is needed: {setting.metadata['text']}", "missing"))
            continue
        try:
            values[setting.name] = setting.metadata["read"](text)
        except ValueError as error:
            faults.append(Fault((name,), str(error)))
    stop, shed = (
        values.get(name, known[variable(name)].default) for name in ("memory_stop_share", "memory_shed_share")
    )
    if stop < shed:
        faults.append(Fault((variable("memory_stop_share"),), "must not be below RELAY_MEMORY_SHED_SHARE"))
    if faults:
        raise Invalid(*faults)
    return Settings(**values)
