"""Which addresses a callback may reach."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.domain.addresses import (
    Allowed,
    Denied,
    EgressPolicy,
    Reason,
    classify_address,
    embedded_addresses,
)

FORBIDDEN = """
0.0.0.0 unspecified
0.1.2.3 unspecified
10.0.0.1 private
10.255.255.255 private
100.64.0.1 shared
100.127.255.255 shared
100.100.100.200 metadata
127.0.0.1 loopback
127.254.254.254 loopback
169.254.169.254 metadata
169.254.170.2 metadata
169.254.0.1 link_local
168.63.129.16 metadata
172.16.0.1 private
172.31.255.255 private
192.0.0.1 protocol_assignment
192.0.0.8 protocol_assignment
192.0.0.170 protocol_assignment
192.0.0.192 metadata
192.0.2.1 documentation
192.31.196.1 anycast_service
192.52.193.1 anycast_service
192.88.99.1 transition
192.168.0.1 private
192.175.48.1 anycast_service
198.18.0.1 benchmarking
198.19.255.255 benchmarking
198.51.100.1 documentation
203.0.113.1 documentation
224.0.0.1 multicast
239.255.255.250 multicast
240.0.0.1 reserved
255.255.255.255 reserved
:: unspecified
::1 loopback
::2 unspecified
::127.0.0.1 loopback
::169.254.169.254 metadata
::8.8.8.8 transition
::ffff:127.0.0.1 loopback
::ffff:7f00:1 loopback
::ffff:169.254.169.254 metadata
::ffff:100.100.100.200 metadata
::ffff:168.63.129.16 metadata
::ffff:10.0.0.1 private
::ffff:0:127.0.0.1 loopback
::ffff:0:8.8.8.8 transition
64:ff9b::7f00:1 loopback
64:ff9b::a9fe:a9fe metadata
64:ff9b::a00:1 private
64:ff9b:1::a9fe:a9fe transition
64:ff9b:1::808:808 transition
100::1 discard
100:0:0:1::1 discard
2001::1 unspecified
2001:0:7f00:1::1 loopback
2001:0:808:808:0:0:f7f7:f7f7 transition
2001:0:808:808:0:0:80ff:fffe loopback
2001:1::1 protocol_assignment
2001:2::1 benchmarking
2001:3::1 protocol_assignment
2001:4:112::1 protocol_assignment
2001:10::1 protocol_assignment
2001:20::1 protocol_assignment
2001:30::1 protocol_assignment
2001:db8::1 documentation
2002:7f00:1::1 loopback
2002:a9fe:a9fe::1 metadata
2002:c0a8:1::1 private
2002:808:808::1 transition
2620:4f:8000::1 anycast_service
3fff::1 documentation
4000::1 reserved
5f00::1 reserved
8000::1 reserved
fc00::1 private
fd00:ec2::254 metadata
fd00:ec2::23 metadata
fd20:ce::254 metadata
fd7a:115c:a1e0::1 private
fe80::1 link_local
fe80::1%eth0 link_local
2606:4700:4700::1111%eth0 link_local
febf:ffff::1 link_local
fec0::1 private
ff02::1 multicast
ff0e::1 multicast
"""

PUBLIC = """
1.0.0.1 1.1.1.1 8.8.8.8 8.8.4.4 9.9.9.9 11.0.0.1 52.95.110.1 93.184.216.34 99.255.255.255 100.63.255.255 100.128.0.1
104.16.0.1 126.255.255.255 128.0.0.1 140.82.112.3 168.63.129.15 168.63.129.17 169.253.255.255 169.255.0.1
172.15.255.255 172.32.0.1 191.255.255.255 192.0.1.1 192.0.3.1 192.167.255.255 192.169.0.1 198.17.255.255 198.20.0.1
203.0.112.1 203.0.114.1 223.255.255.255 ::ffff:8.8.8.8 64:ff9b::808:808 2001:200::1 2001:4860:4860::8888
2606:4700:4700::1111 2620:fe::fe 2a00:1450:4001:81b::200e 2003::1 3ffe::1
"""


@pytest.mark.parametrize(("text", "reason"), [line.split() for line in FORBIDDEN.strip().splitlines()])
def test_an_address_that_is_not_of_the_internet_is_denied_with_its_reason(text: str, reason: str) -> None:
    """Every special-purpose range of IANA's, and every spelling of an IPv4 address inside IPv6, is denied."""
    assert classify_address(ip_address(text)) == Denied(Reason(reason))


@pytest.mark.parametrize("text", PUBLIC.split())
def test_a_public_address_is_allowed(text: str) -> None:
    """What lies right beside a special range is still reachable, and so is what is mapped or behind NAT64."""
    assert classify_address(ip_address(text)) == Allowed()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=100)
def test_no_spelling_of_a_denied_ipv4_address_is_allowed(number: int) -> None:
    """Whatever carries a denied IPv4 address is denied too."""
    inner = IPv4Address(number)
    if classify_address(inner) == Allowed():
        return
    spellings = (
        number,
        0xFFFF << 32 | number,
        0xFFFF << 48 | number,
        0x64FF9B << 96 | number,
        0x2002 << 112 | number << 80 | 1,
        0x2001 << 112 | number << 64,
        0x2001 << 112 | 0x08080808 << 64 | (number ^ 0xFFFFFFFF),
    )
    assert [spelling for spelling in spellings if classify_address(IPv6Address(spelling)) == Allowed()] == []


@given(st.integers(0, 2**128 - 1))
@settings(max_examples=100)
def test_what_is_allowed_is_global_for_the_standard_library_too(number: int) -> None:
    """The tables never allow what `ipaddress` calls special."""
    address = IPv6Address(number)
    if classify_address(address) == Allowed():
        assert address.is_global or address in IPv6Network("64:ff9b::/96")


@pytest.mark.parametrize(
    ("prefix", "address", "inner"),
    [
        ("2606:db8::/32", "2606:db8:c000:221::", "192.0.2.33"),
        ("2606:db8:100::/40", "2606:db8:1c0:2:21::", "192.0.2.33"),
        ("2606:db8:122::/48", "2606:db8:122:c000:2:2100::", "192.0.2.33"),
        ("2606:db8:122:300::/56", "2606:db8:122:3c0:0:221::", "192.0.2.33"),
        ("2606:db8:122:344::/64", "2606:db8:122:344:c0:2:2100::", "192.0.2.33"),
        ("2606:db8:122:344::/96", "2606:db8:122:344::192.0.2.33", "192.0.2.33"),
    ],
)
def test_a_configured_nat64_prefix_is_decoded_at_every_length(prefix: str, address: str, inner: str) -> None:
    """RFC 6052 2.4 places the address differently for each length of the prefix; its examples decode."""
    nat64 = (IPv6Network(prefix),)
    assert embedded_addresses(IPv6Address(address), nat64=nat64) == (IPv4Address(inner),)
    assert classify_address(IPv6Address(address), nat64=nat64) == Denied(Reason.DOCUMENTATION)


def test_allow_wins_over_everything_and_marks_the_address() -> None:
    """A network that the operator allows is reachable although it is private, denied or metadata."""
    policy = EgressPolicy(allow=(ip_network("10.1.0.0/16"),), deny=(ip_network("10.0.0.0/8"),))
    assert policy.judge(ip_address("10.1.2.3")) == Allowed(listed=True)
    assert policy.judge(ip_address("::ffff:10.1.2.3")) == Allowed(listed=True)
    assert policy.judge(ip_address("10.2.0.1")) == Denied(Reason.DENIED)
    assert policy.judge(ip_address("8.8.8.8")) == Allowed(listed=False)


@pytest.mark.parametrize("text", ["2002:0a01:203::1", "::10.1.2.3", "64:ff9b::a01:203", "2001:0:a01:203::1"])
def test_allow_does_not_reach_into_tunnels(text: str) -> None:
    """An address that only carries an allowed one leads through somebody's tunnel, so it stays denied."""
    assert isinstance(EgressPolicy(allow=(ip_network("10.1.0.0/16"),)).judge(ip_address(text)), Denied)


@pytest.mark.parametrize("text", ["93.184.216.34", "::ffff:93.184.216.34", "64:ff9b::5db8:d822", "2002:5db8:d822::1"])
def test_deny_holds_for_every_spelling(text: str) -> None:
    """A public network that the operator denies cannot be reached by another spelling of its addresses."""
    assert EgressPolicy(deny=(ip_network("93.184.216.0/24"),)).judge(ip_address(text)) == Denied(Reason.DENIED)
