"""The address of a caller behind proxies."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

UNKNOWN = "unknown"
"""The address of a caller on a socket in the file system."""
HOPS_MOST = 20
"""Entries of `X-Forwarded-For` that are looked at, from the last one on."""


def caller(peer: str | None, forwarded: str, trusted: Sequence[IPv4Network | IPv6Network]) -> str:
    """The address of the last hop that is not a trusted proxy.

    `forwarded` is `X-Forwarded-For`: each proxy adds the address that called it at the end. Only what trusted proxies
    added is believed, because a caller can send anything.

    >>> from ipaddress import ip_network
    >>> caller("10.0.0.1", "6.6.6.6, 203.0.113.9", [ip_network("10.0.0.0/8")])
    '203.0.113.9'
    >>> caller("203.0.113.9", "6.6.6.6", [ip_network("10.0.0.0/8")])
    '203.0.113.9'
    """
    address = _address(peer or "")
    for hop in reversed(forwarded.split(",")[-HOPS_MOST:]):
        if address is None or not _is_trusted(address, trusted):
            break
        before = _address(hop.strip())
        if before is None:
            break
        address = before
    return address or UNKNOWN


def _address(text: str) -> str | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)


def _is_trusted(address: str, trusted: Sequence[IPv4Network | IPv6Network]) -> bool:
    parsed = ip_address(address)
    return any(parsed.version == network.version and parsed in network for network in trusted)
