"""Where a callback goes: a URL, parsed once by the parser that dials, and vetted as far as it can be without DNS."""

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address

import ada_url
import httpx

from relay.domain.addresses import Address, Denied, EgressPolicy
from relay.errors import Fault, Invalid

MAX_URL_CHARS = 2048

_LOOPBACK = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")

_AUTHORITY = re.compile(r"[a-z][a-z0-9+.-]*://([^/?#]*)", re.IGNORECASE)

_UNSAFE = re.compile(r"[\x00-\x20\x7f-\x9f\\\ud800-\udfff]")

_PORTS = {"https": 443, "http": 80}

_METADATA_NAMES = frozenset(
    {"metadata", "instance-data", "metadata.google.internal", "metadata.goog", "instance-data.ec2.internal"}
)

_LOCAL_SUFFIXES = ("localhost", "internal", "local", "svc", "home.arpa", "lan", "intranet", "test", "invalid", "onion")
"""Endings that the public DNS never answers for; `local` covers `cluster.local`, `svc` what search domains complete."""

_FORBIDDEN = "this address is not allowed: callbacks go to public addresses, and to the networks in RELAY_EGRESS_ALLOW"


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A vetted URL. Only `url` is ever dialled; the other fields are read from it."""

    url: str = field(repr=False)
    """As the parser writes it, in ASCII."""
    scheme: str
    host: str
    """As it is dialled: lower case, IDNA-encoded, an IPv6 address without its brackets."""
    port: int
    path: str = field(repr=False)
    """Path and query, as they stand in the request."""
    authority: str
    """The value of `host` in the request."""
    address: Address | None
    """The host if it is an address, already judged; None: a name, whose addresses are judged when it is dialled."""
    listed_only: bool
    """Plain http, another port or a local name: each address must be in the policy's `allow`."""
    key: tuple[str, str, int] = field(init=False, repr=False)
    """What connections of one origin have in common."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", (self.scheme, self.host, self.port))

    @property
    def shown(self) -> httpx.URL:
        """The same URL for readers of the request; never dialled."""
        return httpx.URL(self.url)

    @property
    def is_tls(self) -> bool:
        """Whether it is https."""
        return self.scheme == "https"

    @property
    def origin(self) -> str:
        """What may be logged and kept of it: no path and no query, which can hold a subscriber's secrets."""
        return f"{self.scheme}://{self.authority}"


def vet_url(url: str, policy: EgressPolicy, *, path: tuple[str | int, ...] = ("body", "url")) -> Target:
    """Parse a subscriber's URL and refuse what can never be dialled.

    Raises Invalid pointing to `path`. Nothing is looked up or dialled, so the answer tells nothing of what exists.
    """
    try:
        return _vet(url, policy)
    except ValueError as error:
        raise Invalid(Fault(path, str(error))) from None


def _vet(text: str, policy: EgressPolicy) -> Target:
    authority = _check_spelling(text)
    url = _parse(text)
    scheme, host = url.protocol.removesuffix(":"), url.hostname
    if scheme not in _PORTS or not host:
        raise ValueError("must be an https URL")
    port = int(url.port) if url.port else _PORTS[scheme]
    plain = scheme == "http" or port not in policy.ports
    if url.host_type is not ada_url.HostType.DEFAULT:
        address = ip_address(host.strip("[]"))
        if address.version == 4 and authority.partition(":")[0] != host:
            raise ValueError("must write an IPv4 address as four decimal numbers")
        _check_address(address, policy, plain=plain, http=scheme == "http")
        return _target(url, str(address), port, address, listed_only=plain)
    local = _is_local(host)
    _check_name(host, policy, local=local)
    if plain and not policy.allow:
        raise ValueError(_needs(policy, http=scheme == "http"))
    return _target(url, host, port, None, listed_only=plain or local)


def _target(url: ada_url.URL, host: str, port: int, address: Address | None, *, listed_only: bool) -> Target:
    path = url.pathname + url.search
    if not path.isascii() or not path.isprintable() or " " in path:
        # The parser writes nothing else, and a line break here would be another request.
        raise ValueError("its path or query cannot be sent")
    return Target(
        url=url.href.partition("#")[0],
        scheme=url.protocol.removesuffix(":"),
        host=host,
        port=port,
        path=path,
        authority=url.host,
        address=address,
        listed_only=listed_only,
    )


def _parse(text: str) -> ada_url.URL:
    try:
        return ada_url.URL(text)
    except ValueError:
        raise ValueError("is not a URL") from None


def _check_spelling(text: str) -> str:
    """Refuse text that the parser would quietly correct and others read differently; give the authority as written."""
    if len(text) > MAX_URL_CHARS:
        raise ValueError(f"must have at most {MAX_URL_CHARS} characters")
    if _UNSAFE.search(text):
        raise ValueError("must not hold spaces, control characters or backslashes")
    authority = _AUTHORITY.match(text)
    if authority is None or not authority[1]:
        raise ValueError("must be an https URL")
    if "@" in authority[1]:
        raise ValueError("must not hold a user name or password: use the endpoint's auth instead")
    if "%" in authority[1]:
        raise ValueError("must not hold % in its host")
    return authority[1]


def _check_address(address: Address, policy: EgressPolicy, *, plain: bool, http: bool) -> None:
    verdict = policy.judge(address)
    if isinstance(verdict, Denied):
        raise ValueError(_FORBIDDEN)
    if plain and not verdict.listed:
        raise ValueError(_needs(policy, http=http))


def _check_name(name: str, policy: EgressPolicy, *, local: bool) -> None:
    if name.endswith("."):
        raise ValueError("must not end its host with a dot")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError("its host is not a name that DNS can hold")
    if name in _METADATA_NAMES:
        raise ValueError(_FORBIDDEN)
    if not local:
        return
    if _within(name, "localhost"):
        if not any(policy.allows_any(network) for network in _LOOPBACK):
            raise ValueError(_FORBIDDEN)
    elif not policy.allow:
        raise ValueError(_FORBIDDEN)


def _is_local(name: str) -> bool:
    return "." not in name or any(_within(name, suffix) for suffix in _LOCAL_SUFFIXES)


def _within(name: str, suffix: str) -> bool:
    return name == suffix or name.endswith("." + suffix)


def _needs(policy: EgressPolicy, *, http: bool) -> str:
    if http:
        return "must be an https URL: http is for the networks in RELAY_EGRESS_ALLOW only"
    ports = ", ".join(map(str, sorted(policy.ports)))
    return f"must use one of the ports {ports}: others are for the networks in RELAY_EGRESS_ALLOW only"
