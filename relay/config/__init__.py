"""Settings: what `RELAY_*` variables say, checked all at once. Only the entry points read the environment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv6Network
from pathlib import Path
from typing import Any

from relay.config import values
from relay.config.disorder import disorder
from relay.config.reading_environment import read_settings
from relay.config.redis_url import redis_url as read_redis_url
from relay.config.values import Network
from relay.domain.model import Secret
from relay.errors import Invalid


def _setting(read: Callable[[str], Any], default: Any, text: str, *, needed: bool = False) -> Any:
    return field(default=default, metadata={"read": read, "text": text, "needed": needed})


STANDARD_SCHEDULE = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
"""Standard Webhooks 1.0: with the first try at once, ten tries over 75 h 35 m."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that can be set. Each field is the variable `RELAY_` + its name in capitals."""

    redis_url: Secret | None = _setting(
        read_redis_url,
        None,
        "Redis or Valkey, e.g. `redis://user:password@host:6379/0`; [other forms](#the-redis-server). None: an "
        "embedded Valkey in `RELAY_DATA_DIR`",
    )
    queue_redis_url: Secret | None = _setting(
        read_redis_url, None, "Where the queue of jobs is, in the same forms. None: in `RELAY_REDIS_URL`"
    )
    data_dir: Path = _setting(values.folder, Path("data"), "Where the embedded Valkey keeps its files")
    admin_key: Secret | None = _setting(
        values.api_key, None, "The API key with full access, 16 characters or more", needed=True
    )
    encryption_key: tuple[Secret, ...] = _setting(
        values.encryption_keys,
        (),
        "32 bytes in base64 that encrypt stored secrets. Separate several keys with commas: "
        "the first encrypts, all decrypt",
        needed=True,
    )
    host: str = _setting(
        values.host, "127.0.0.1", "The address that `relay serve` and the worker's health server listen on"
    )
    port: int = _setting(values.port, 8080, "The port of the REST API")
    worker_port: int = _setting(values.port, 8081, "The port of the worker's health server; 0: any free port")
    metrics_port: int | None = _setting(
        values.port,
        None,
        "The port of `/metrics`, which requires no key there; 0: any free port. None: a worker answers `/metrics` on "
        "`RELAY_WORKER_PORT`, and the API does to keys for every application",
    )
    shutdown_delay_seconds: float = _setting(
        values.delay, 0.0, "Seconds that the API serves on after SIGTERM ([why](kubernetes.md#when-pods-end))"
    )
    log_format: str = _setting(values.choice("json", "text"), "json", "`json` or `text`")
    log_level: str = _setting(
        values.choice("debug", "info", "warning", "error"), "info", "`debug`, `info`, `warning` or `error`"
    )
    tracing: str = _setting(
        values.tracing,
        "off",
        "`otlp`: traces go to an OpenTelemetry collector, as the [`OTEL_*` variables](#traces) say, and receivers get "
        "a `traceparent`. `off`: no traces",
    )
    egress_allow: tuple[Network, ...] = _setting(
        values.networks, (), "Private networks (CIDR, separated by commas) that callbacks may reach, also by http"
    )
    egress_deny: tuple[Network, ...] = _setting(
        values.networks,
        (),
        "Networks (CIDR, separated by commas) that neither callbacks nor sources may reach, whatever else allows them, "
        "such as the cluster's own pods, services and nodes",
    )
    egress_ports: tuple[int, ...] = _setting(
        values.ports,
        (443, 8443),
        "Ports that callbacks may use, separated by commas. All ports are allowed in `RELAY_EGRESS_ALLOW`",
    )
    egress_nat64: tuple[IPv6Network, ...] = _setting(
        values.nat64_prefixes,
        (),
        "NAT64 prefixes of this network (RFC 6052, separated by commas), in addition to `64:ff9b::/96`. The relay "
        "judges addresses in them by the IPv4 address inside",
    )
    upstream_allow: tuple[Network, ...] = _setting(
        values.networks,
        (),
        "Private networks (CIDR, separated by commas) that the `baseUrl` of a source may use, with http too",
    )
    egress_proxy: Secret | None = _setting(
        values.proxy,
        None,
        "A forward proxy for https callbacks, e.g. `http://proxy:3128`; its failures are not charged to endpoints",
    )
    egress_ca_file: tuple[bytes, ...] = _setting(
        values.certificates,
        (),
        "A file with certificates (PEM) of authorities to trust for callbacks, in addition to the public ones",
    )
    nameservers: tuple[str, ...] = _setting(
        values.name_servers,
        (),
        "Name servers for looking up endpoints, `address:port` separated by commas. None: those of the system",
    )
    attempt_timeout_seconds: float = _setting(
        values.seconds, 20.0, "The deadline of one attempt, from the lookup to the last byte read"
    )
    retry_schedule: tuple[float, ...] = _setting(
        values.schedule, STANDARD_SCHEDULE, "Seconds before each retry of a delivery, separated by commas"
    )
    dispatch_slots: int = _setting(values.count, 512, "The maximum number of callbacks that one worker has in flight")
    judging_processes: int | None = _setting(
        values.processes,
        None,
        "The maximum number of processes that judge large pages for one worker; 0: the worker judges all pages itself. "
        "Default: one less than its cores, at most 2",
    )
    overlap_rows: int = _setting(
        values.count, 100_000, "The maximum number of rowIds behind the cursor that the relay reads again"
    )
    overlap_seconds: float = _setting(
        values.seconds, 600.0, "How late a row may appear behind the cursor and be found within a minute or so"
    )
    overlap_interval_seconds: float = _setting(
        values.seconds, 60.0, "How often the relay reads the rows behind the cursor again"
    )
    gap_deadline_seconds: float = _setting(
        values.seconds,
        86_400.0,
        "How late a row may appear and still be found: the relay probes gaps between rowIds at growing distances until "
        "then. Not above `RELAY_OVERLAP_SECONDS`: it does not probe gaps",
    )
    change_schedule: tuple[float, ...] = _setting(
        values.pauses,
        (900.0, 7200.0, 86_400.0, 604_800.0),
        "Seconds after its first sight at which the relay reads a row again to find changes, separated by commas. "
        "`0`: only the overlap finds changes",
    )
    reading_requests_per_hour: int = _setting(
        values.count,
        600,
        "The maximum number of requests an hour and source for probing gaps and reading rows again. The overlap and "
        "polls for new rows are not counted",
    )
    past_events_bytes: int = _setting(
        values.count,
        268_435_456,
        "Bytes of Redis's memory for what the rows of one source were, kept after `RELAY_RETENTION_SECONDS` for "
        "`previous` in later updates (about 200 a row). The oldest are dropped first",
    )
    known_rows_bytes: int = _setting(
        values.count,
        268_435_456,
        "Bytes of Redis's memory for what the relay knows of the rows of one source (35 to 200 a row). Beyond that it "
        "forgets the oldest rows, and does not read them again",
    )
    trusted_proxies: tuple[Network, ...] = _setting(
        values.networks,
        (),
        "Networks (CIDR, separated by commas) of proxies in front of the API. The relay believes their "
        "`X-Forwarded-For`. None: the address of a caller is that of its connection",
    )
    cors_origins: tuple[str, ...] = _setting(
        values.origins,
        (),
        "Origins of web pages that may call the API, such as `https://console.example`, separated by commas, or `*`. "
        "None: browsers let no other page call it",
    )
    public_url: str | None = _setting(
        values.public_url, None, "The API's URL, such as `https://relay.example.com`: links begin with it"
    )
    portal_embed_origins: tuple[str, ...] = _setting(
        values.embed_origins,
        (),
        "Origins of pages that can embed the [portal](portal.md), separated by commas. None: no page can",
    )
    console: str = _setting(values.choice("on", "off"), "on", "`off`: no [console](console.md) at `/console`")
    event_link_seconds: float = _setting(values.seconds, 604_800.0, "How long a link in an event works")
    key_requests_per_minute: int = _setting(
        values.count, 12_000, "The maximum number of API requests a minute with one key, over all processes"
    )
    address_requests_per_minute: int = _setting(
        values.count,
        600,
        "The maximum number of API requests a minute from one address without a valid key, over all processes",
    )
    audit_retention_seconds: float = _setting(
        values.seconds, 7_776_000.0, "How long the relay keeps entries of the audit log"
    )
    audit_bytes: int = _setting(
        values.count, 67_108_864, "Bytes for the audit log. The oldest entries are dropped first"
    )
    erasure_seconds: float = _setting(
        values.seconds,
        31_536_000.0,
        "How long rows about a person who was erased are kept out, if Infinity shows them again",
    )
    erasures: int = _setting(values.count, 10_000, "The maximum number of persons whose rows are kept out (2 kB each)")
    retention_seconds: float = _setting(
        values.seconds,
        86_400.0,
        "How long the relay keeps events after it stored them. It keeps undelivered events longer",
    )
    dead_retention_seconds: float = _setting(values.seconds, 1_209_600.0, "How long dead deliveries can be sent again")
    attempt_log_bytes: int = _setting(
        values.count, 268_435_456, "Bytes for the attempt log of one source. The oldest attempts are dropped first"
    )
    books_seconds: float = _setting(
        values.seconds,
        2_592_000.0,
        "How long the books tell what became of each delivery. Reconciliation reaches back as far as the books",
    )
    books_bytes: int = _setting(
        values.count, 134_217_728, "Bytes for the books of one source. The oldest entries are dropped first"
    )
    reconciliation_seconds: float = _setting(
        values.seconds,
        86_400.0,
        "How often the relay compares each source with what it stored and delivered. By default each night, "
        "between 0:00 and 6:00 UTC",
    )
    endpoint_backlog_bytes: int = _setting(
        values.count,
        268_435_456,
        "Bytes of events that may wait for one endpoint, including dead deliveries. The oldest are dropped first",
    )
    endpoint_backlog_seconds: float = _setting(
        values.seconds, 1_209_600.0, "How long an event may wait for an endpoint before it is dropped"
    )
    checkpoint_url: str | None = _setting(
        values.checkpoint_url,
        None,
        "Where a checkpoint stands outside of Redis, a few seconds old: `file:///folder`, `s3://bucket/prefix`, "
        "`gs://bucket/prefix` or `az://container/prefix`. None: a Redis that was emptied has to be restored from a "
        "backup",
    )
    restore: str = _setting(
        values.choice("auto", "manual"),
        "auto",
        "`auto`: workers restore an empty Redis from the checkpoint. `manual`: they wait for `relay restore`",
    )
    restore_reach_seconds: float = _setting(
        values.seconds,
        345_600.0,
        "How far back a restored relay polls again for the sake of deliveries that had not ended. The default, four "
        "days, is longer than the retry schedule",
    )
    backlog_stop_deliveries: int = _setting(
        values.count,
        10_000_000,
        "The number of deliveries that have not ended, over all endpoints, from which the relay polls no source",
    )
    backlog_resume_deliveries: int = _setting(
        values.count, 8_750_000, "The number of deliveries that have not ended below which polling continues"
    )
    memory_shed_share: float = _setting(
        values.share,
        0.75,
        "The share of Redis's `maxmemory` from which the relay deletes attempts, then delivered events, early",
    )
    memory_stop_share: float = _setting(
        values.share, 0.8, "The share of Redis's `maxmemory` from which the relay polls no source"
    )
    memory_resume_share: float = _setting(values.share, 0.7, "Polling continues below this share of `maxmemory`")


def variable(name: str) -> str:
    """The environment variable of a field."""
    return "RELAY_" + name.upper()


def load(environ: Mapping[str, str]) -> Settings:
    """Read settings from an environment. White space around a value is dropped; an empty value counts as not set.

    Raises Invalid with every fault at once: unknown `RELAY_*` names (a typo must not pass unseen), values that break
    a rule, and needed ones that are missing. No value is quoted. What Kubernetes made from a Service is left out.
    """
    known = {variable(f.name): f for f in fields(Settings)}
    read, faults = read_settings(known, environ)
    faults += disorder({name: read.get(setting.name, setting.default) for name, setting in known.items()})
    if faults:
        raise Invalid(*faults)
    return Settings(**read)
