"""Which network addresses a callback may reach. Pure: an address in, a judgement out; who resolves names is elsewhere.

The tables are the special-purpose address registries of IANA for IPv4 and IPv6, written out one by one, with what
clouds add to them. `ipaddress.is_global` is no stand-in: it lets NAT64, 6to4, mapped and compatible spellings of
private addresses through, all multicast, and Azure's 168.63.129.16.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Reason(StrEnum):
    """Why an address is refused. The values are what logs and metrics show."""

    UNSPECIFIED = "unspecified"
    LOOPBACK = "loopback"
    PRIVATE = "private"
    SHARED = "shared"
    LINK_LOCAL = "link_local"
    METADATA = "metadata"
    PROTOCOL = "protocol_assignment"
    DOCUMENTATION = "documentation"
    BENCHMARKING = "benchmarking"
    ANYCAST = "anycast_service"
    TRANSITION = "transition"
    DISCARD = "discard"
    MULTICAST = "multicast"
    RESERVED = "reserved"
    DENIED = "denied"
    """By the operator, who named the network."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """A callback may be sent there. `listed`: only because the operator allows the network, so by http too."""

    listed: bool = False


@dataclass(frozen=True, slots=True)
class Denied:
    """A callback must not be sent there."""

    reason: Reason


def _table(text: str) -> tuple[tuple[Network, Reason], ...]:
    rows = (line.split() for line in text.strip().splitlines())
    return tuple((ip_network(network), Reason(reason)) for network, reason in rows)


_SINGLE = {
    ip_address("::"): Reason.UNSPECIFIED,
    ip_address("::1"): Reason.LOOPBACK,
    ip_address("169.254.169.254"): Reason.METADATA,  # AWS, Google, Azure, DigitalOcean and most others
    ip_address("169.254.169.253"): Reason.METADATA,  # AWS's resolver
    ip_address("169.254.169.123"): Reason.METADATA,  # AWS's clock
    ip_address("169.254.170.2"): Reason.METADATA,  # ECS tasks' credentials
    ip_address("169.254.170.23"): Reason.METADATA,  # EKS pods' credentials
    ip_address("100.100.100.200"): Reason.METADATA,  # Alibaba
    ip_address("168.63.129.16"): Reason.METADATA,  # Azure's wire server: a public address by its number
    ip_address("192.0.0.192"): Reason.METADATA,  # Oracle
    ip_address("fd00:ec2::254"): Reason.METADATA,  # AWS
    ip_address("fd00:ec2::23"): Reason.METADATA,  # EKS pods' credentials
    ip_address("fd20:ce::254"): Reason.METADATA,  # Google
    ip_address("fd00:42::42"): Reason.METADATA,  # Scaleway
}
"""Where clouds hand out credentials: most lie in a special range too, but naming them tells the log what was tried."""

_SPECIAL_V4 = _table("""
    0.0.0.0/8           unspecified
    10.0.0.0/8          private
    100.64.0.0/10       shared
    127.0.0.0/8         loopback
    169.254.0.0/16      link_local
    172.16.0.0/12       private
    192.0.0.0/24        protocol_assignment
    192.0.2.0/24        documentation
    192.31.196.0/24     anycast_service
    192.52.193.0/24     anycast_service
    192.88.99.0/24      transition
    192.168.0.0/16      private
    192.175.48.0/24     anycast_service
    198.18.0.0/15       benchmarking
    198.51.100.0/24     documentation
    203.0.113.0/24      documentation
    224.0.0.0/4         multicast
    240.0.0.0/4         reserved
""")

_SPECIAL_V6 = _table("""
    ::/128              unspecified
    ::1/128             loopback
    ::/96               transition
    ::ffff:0:0:0/96     transition
    64:ff9b:1::/48      transition
    100::/64            discard
    100:0:0:1::/64      discard
    2001::/32           transition
    2001:2::/48         benchmarking
    2001::/23           protocol_assignment
    2001:db8::/32       documentation
    2002::/16           transition
    2620:4f:8000::/48   anycast_service
    3fff::/20           documentation
    5f00::/16           reserved
    fc00::/7            private
    fe80::/10           link_local
    fec0::/10           private
    ff00::/8            multicast
""")

_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All that IANA hands out for unicast; whatever lies outside is unassigned, or in the table above."""

NAT64 = IPv6Network("64:ff9b::/96")
"""The well-known prefix (RFC 6052): in a DNS64 cluster public IPv4 receivers show up inside it."""

FORBIDDEN_V4 = tuple(
    collapse_addresses(
        [network for network, _ in _SPECIAL_V4 if isinstance(network, IPv4Network)]
        + [IPv4Network(address) for address in _SINGLE if isinstance(address, IPv4Address)]
    )
)
"""Every IPv4 network that is refused, for walls that know only networks."""

FORBIDDEN_V6 = tuple(
    collapse_addresses(
        network for network, _ in _SPECIAL_V6 if isinstance(network, IPv6Network) and network.subnet_of(_GLOBAL_UNICAST)
    )
)
"""Every network in 2000::/3 that is refused. All of IPv6 outside 2000::/3 is refused too, except what NAT64 carries."""

METADATA = tuple(ip_network(address) for address, reason in _SINGLE.items() if reason is Reason.METADATA)
"""Networks of one address each that stay refused even if the operator allows them."""

_CARRIERS = (
    (IPv6Network("::ffff:0:0/96"), 0),  # mapped
    (IPv6Network("::ffff:0:0:0/96"), 0),  # translated (SIIT, RFC 2765)
    (IPv6Network("::/96"), 0),  # compatible
    (IPv6Network("2002::/16"), 80),  # 6to4
)
"""Prefixes that carry an IPv4 address, and how many bits stand behind it."""

_MAPPED = IPv6Network("::ffff:0:0/96")
_TEREDO = IPv6Network("2001::/32")
_ISATAP = 0x00005EFE
"""The upper half of an interface id that ends in an IPv4 address; the bit 0x02000000 may be set (RFC 5214 6.1)."""
NAT64_LENGTHS = (32, 40, 48, 56, 64, 96)
"""RFC 6052 2.2."""


def embedded_addresses(address: IPv6Address, *, nat64: Iterable[IPv6Network] = (NAT64,)) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses that an IPv6 address stands for, as packets to it might end up there.

    >>> embedded_addresses(IPv6Address("2002:7f00:1::1"))
    (IPv4Address('127.0.0.1'),)
    """
    number = int(address)
    found = [IPv4Address((number >> shift) & 0xFFFFFFFF) for network, shift in _CARRIERS if address in network]
    found += [_behind_nat64(number, network.prefixlen) for network in nat64 if address in network]
    if (number >> 32) & 0xFDFFFFFF == _ISATAP:
        found.append(IPv4Address(number & 0xFFFFFFFF))
    if address in _TEREDO:
        found += [IPv4Address((number >> 64) & 0xFFFFFFFF), IPv4Address(~number & 0xFFFFFFFF)]
    return tuple(found)


def _behind_nat64(number: int, prefix: int) -> IPv4Address:
    """Where RFC 6052 2.2 puts the address: after the prefix, but never in bits 64 to 71."""
    if prefix >= 96:
        return IPv4Address(number & 0xFFFFFFFF)
    without_u = ((number >> 64) << 56) | (number & ((1 << 56) - 1))
    return IPv4Address((without_u >> (120 - prefix - 32)) & 0xFFFFFFFF)


def classify_address(address: Address, *, nat64: Iterable[IPv6Network] = (NAT64,)) -> Allowed | Denied:
    """Say whether the open internet lies behind an address.

    An IPv6 address that carries an IPv4 one is judged by that too: a mapped one and one behind NAT64 (`nat64`: the
    prefixes of this network) are what they carry, the other spellings are refused whatever they carry.
    """
    if reason := _SINGLE.get(address):
        return Denied(reason)
    if isinstance(address, IPv4Address):
        return _by_table(address, _SPECIAL_V4) or Allowed()
    if address.scope_id is not None:
        return Denied(Reason.LINK_LOCAL)
    prefixes = tuple(nat64)
    for inner in embedded_addresses(address, nat64=prefixes):
        if isinstance(verdict := classify_address(inner), Denied):
            return verdict
    if address in _MAPPED or any(address in prefix for prefix in prefixes):
        return Allowed()
    if special := _by_table(address, _SPECIAL_V6):
        return special
    return Allowed() if address in _GLOBAL_UNICAST else Denied(Reason.RESERVED)


def _by_table(address: Address, table: tuple[tuple[Network, Reason], ...]) -> Denied | None:
    return next((Denied(reason) for network, reason in table if address in network), None)


def _unscoped(address: Address) -> Address:
    """The same without the name of an interface."""
    return IPv6Address(int(address)) if isinstance(address, IPv6Address) and address.scope_id else address


@dataclass(frozen=True, kw_only=True)
class EgressPolicy:
    """What the operator says about where callbacks may go, over what the registries say.

    Addresses where clouds hand out credentials are always refused, then come `deny`, `allow` and the registries. An
    address in `allow` may be reached by http and on any port; every other one by https on `ports` only.
    """

    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()
    ports: frozenset[int] = frozenset({443, 8443})
    nat64: tuple[IPv6Network, ...] = (NAT64,)

    def judge(self, address: Address) -> Allowed | Denied:
        """Say whether a callback may be sent to an address.

        >>> EgressPolicy(allow=(ip_network("10.1.0.0/16"),)).judge(ip_address("10.1.2.3"))
        Allowed(listed=True)
        """
        carried = embedded_addresses(address, nat64=self.nat64) if isinstance(address, IPv6Address) else ()
        spellings = (address, *carried)
        if any(_SINGLE.get(_unscoped(spelling)) is Reason.METADATA for spelling in spellings):
            return Denied(Reason.METADATA)
        if any(_unscoped(spelling) in network for spelling in spellings for network in self.deny):
            return Denied(Reason.DENIED)
        if self._lists(address):
            return Allowed(listed=True)
        return classify_address(address, nat64=self.nat64)

    def _lists(self, address: Address) -> bool:
        """A mapped address is the IPv4 one; no other spelling counts, for what it carries may not be where it leads."""
        plain = (isinstance(address, IPv6Address) and address.ipv4_mapped) or address
        return any(plain in network for network in self.allow)

    def allows_any(self, network: Network) -> bool:
        """Whether `allow` covers some of a network."""
        return any(network.version == allowed.version and network.overlaps(allowed) for allowed in self.allow)
