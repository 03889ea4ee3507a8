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
