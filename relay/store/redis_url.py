"""What a Redis URL names: one server, Sentinels that know a master, or nodes of a cluster.

`redis+sentinel://` and `redis+cluster://` have the form that Redis-Sentinel-Url, Harbor, limits and Prefect use.
"""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

Kind = Literal["server", "sentinel", "cluster"]
PORTS = {"sentinel": 26_379, "cluster": 6379}
SCHEMES: dict[str, tuple[str, Kind]] = {
    "redis": ("redis", "server"),
    "rediss": ("rediss", "server"),
    "unix": ("unix", "server"),
    "redis+sentinel": ("redis", "sentinel"),
    "rediss+sentinel": ("rediss", "sentinel"),
    "redis+cluster": ("redis", "cluster"),
    "rediss+cluster": ("rediss", "cluster"),
}
"""Scheme → the scheme of a URL for one server, and what the URL names."""
OF_SENTINELS = ("sentinel_username", "sentinel_password")
"""Parameters that are for the Sentinels."""


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """The parts of a URL."""

    kind: Kind
    singles: tuple[str, ...]
    """For each host, the URL that leads to it alone, as redis-py reads it: with database and parameters."""
    service: str = ""
    """The name that the Sentinels know the master by."""
    sentinel_user: str | None = None
    sentinel_password: str | None = None

    @property
    def hosts(self) -> list[tuple[str, int]]:
        """Hosts and ports, of Sentinels or of nodes."""
        parts = [urlsplit(single) for single in self.singles]
        return [(each.hostname or "", each.port or PORTS.get(self.kind, 6379)) for each in parts]


def read_url(url: str) -> RedisUrl:
    """Take a URL apart. Raises ValueError for a scheme that is not known, and without a name of the master."""
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES:
        raise ValueError("the scheme is not known")
    plain, kind = SCHEMES[scheme]
    if kind == "server":
        return RedisUrl(kind, (url,))
    # A password has none of these characters, see relay.config.redis_url.
    end = min((place for place in map(rest.find, "/?#") if place >= 0), default=len(rest))
    credentials, at, hosts = rest[:end].rpartition("@")
    path, _, query = rest[end:].partition("?")
    service, database = "", path
    if kind == "sentinel":
        service, slash, number = path.removeprefix("/").partition("/")
        database = slash + number
        if not service:
            raise ValueError("the name of the master is missing")
    parameters = parse_qsl(query, keep_blank_values=True, max_num_fields=20)
    own = {name: value for name, value in parameters if name in OF_SENTINELS and kind == "sentinel"}
    others = urlencode([(name, value) for name, value in parameters if name not in own])
    return RedisUrl(
        kind,
        tuple(f"{plain}://{credentials}{at}{host}{database}?{others}" for host in hosts.split(",")),
        unquote(service),
        own.get("sentinel_username"),
        own.get("sentinel_password"),
    )
