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
from tests.fault.addresses import FORBIDDEN, PUBLIC


@pytest.mark.parametrize(("text", "reason"), FORBIDDEN)
def test_an_address_that_is_not_of_the_internet_is_denied_with_its_reason(text: str, reason: str) -> None:
    """Every special-purpose range of IANA's, and every spelling of an IPv4 address inside IPv6, is denied."""
    assert classify_address(ip_address(text)) == Denied(Reason(reason))


@pytest.mark.parametrize("text", PUBLIC)
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


def test_allow_wins_over_the_registries_and_marks_the_address() -> None:
    """A network that the operator allows is reachable although it is private."""
    policy = EgressPolicy(allow=(ip_network("10.1.0.0/16"),), deny=(ip_network("10.2.0.0/16"),))
    assert policy.judge(ip_address("10.1.2.3")) == Allowed(listed=True)
    assert policy.judge(ip_address("::ffff:10.1.2.3")) == Allowed(listed=True)
    assert policy.judge(ip_address("10.2.0.1")) == Denied(Reason.DENIED)
    assert policy.judge(ip_address("8.8.8.8")) == Allowed(listed=False)


EVERYTHING = (ip_network("0.0.0.0/0"), ip_network("::/0"))


@pytest.mark.parametrize("text", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203", "2002:a01:203::1"])
def test_deny_wins_over_allow(text: str) -> None:
    policy = EgressPolicy(allow=EVERYTHING, deny=(ip_network("10.1.0.0/16"),))
    assert policy.judge(ip_address(text)) == Denied(Reason.DENIED)
    assert policy.judge(ip_address("10.2.0.1")) == Allowed(listed=True)


@pytest.mark.parametrize(
    "text",
    [
        "169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "100.100.100.200",
        "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd00:ec2::254%eth0", "fd20:ce::254", "169.254.170.2",
        "fe80::5efe:169.254.169.254", "2001:db8::5efe:169.254.169.254",
    ],
)  # fmt: skip
def test_no_setting_opens_the_addresses_of_credentials(text: str) -> None:
    policy = EgressPolicy(allow=EVERYTHING)
    assert policy.judge(ip_address(text)) == Denied(Reason.METADATA)


@pytest.mark.parametrize("interface", ["0:5efe", "200:5efe"])
def test_isatap_is_judged_by_the_address_inside(interface: str) -> None:
    """RFC 5214: the interface id ends in an IPv4 address, whatever the prefix."""
    assert classify_address(ip_address(f"2600:1::{interface}:10.1.2.3")) == Denied(Reason.PRIVATE)
    assert classify_address(ip_address(f"2600:1::{interface}:127.0.0.1")) == Denied(Reason.LOOPBACK)
    assert classify_address(ip_address(f"2600:1::{interface}:8.8.8.8")) == Allowed()
    policy = EgressPolicy(deny=(ip_network("8.8.8.0/24"),))
    assert policy.judge(ip_address(f"2600:1::{interface}:8.8.8.8")) == Denied(Reason.DENIED)


@pytest.mark.parametrize(
    "prefix", ["2600:64::/32", "2600:64:100::/40", "2600:64:1:200::/56", "2600:64::/64", "2600:64::/96"]
)
def test_prefixes_of_nat64_are_judged_by_the_address_inside(prefix: str) -> None:
    """RFC 6052 2.2, for every length that it has."""
    network = ip_network(prefix)
    assert isinstance(network, IPv6Network)

    def spelled(inner: str) -> IPv6Address:
        bits, length = int(IPv4Address(inner)), network.prefixlen
        if length == 96:
            return IPv6Address(int(network.network_address) | bits)
        high = bits << (96 - length) if length <= 64 else 0
        upper, lower = high >> 64 << 64, high & (1 << 64) - 1
        # Bits 64 to 71 stay 0: what lies behind them moves by eight.
        return IPv6Address(int(network.network_address) | upper | lower >> 8)

    policy = EgressPolicy(nat64=(network,))
    assert policy.judge(spelled("10.1.2.3")) == Denied(Reason.PRIVATE)
    assert policy.judge(spelled("169.254.169.254")) == Denied(Reason.METADATA)
    assert policy.judge(spelled("8.8.8.8")) == Allowed()


@pytest.mark.parametrize("text", ["2002:0a01:203::1", "::10.1.2.3", "64:ff9b::a01:203", "2001:0:a01:203::1"])
def test_allow_does_not_reach_into_tunnels(text: str) -> None:
    """An address that only carries an allowed one leads through somebody's tunnel, so it stays denied."""
    assert isinstance(EgressPolicy(allow=(ip_network("10.1.0.0/16"),)).judge(ip_address(text)), Denied)


@pytest.mark.parametrize("text", ["93.184.216.34", "::ffff:93.184.216.34", "64:ff9b::5db8:d822", "2002:5db8:d822::1"])
def test_deny_holds_for_every_spelling(text: str) -> None:
    """A public network that the operator denies cannot be reached by another spelling of its addresses."""
    assert EgressPolicy(deny=(ip_network("93.184.216.0/24"),)).judge(ip_address(text)) == Denied(Reason.DENIED)
