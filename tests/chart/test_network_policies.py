"""NetworkPolicies are a second wall: they let through what the relay's own guard lets through, and nothing else."""

import functools
import random
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest

from relay.config import load
from relay.domain import addresses
from relay.domain.addresses import NAT64, Address, Allowed, EgressPolicy, Network
from relay.wiring import egress_policy, upstream_policy
from tests.chart.rendering import Object, one, render, rendered
from tests.chart.test_values import NEEDED

SEED = 7
PORTS = (80, 443, 8443, 9443)
PRIVATE = {
    "RELAY_EGRESS_ALLOW": "10.20.0.0/16, 192.168.7.4,169.254.0.0/16,fd00:1::/64,100.100.100.200",
    "RELAY_EGRESS_DENY": "10.20.3.0/24,192.168.0.0/16,2a00:1::/32,93.184.0.0/16",
    "RELAY_EGRESS_PORTS": "443,9443",
    "RELAY_EGRESS_NAT64": "2a01:64::/96,64:ff9b:1:2::/96",
    "RELAY_UPSTREAM_ALLOW": "10.30.0.1/32",
}
SETTINGS = [{}, PRIVATE, {"RELAY_EGRESS_ALLOW": "0.0.0.0/0", "RELAY_EGRESS_DENY": "10.0.0.0/8"}]


network_of = functools.cache(ip_network)


def passes(rules: list[Object], address: Address, port: int) -> bool:
    """Whether a NetworkPolicy lets a TCP connection to an address outside of the cluster through."""
    return any(
        any(each.get("protocol", "TCP") == "TCP" and each.get("port", port) == port for each in rule["ports"])
        and _leads_to(rule, address)
        for rule in rules
    )


def _leads_to(rule: Object, address: Address) -> bool:
    blocks = [peer["ipBlock"] for peer in rule.get("to", []) if "ipBlock" in peer]
    return any(
        address in network_of(block["cidr"]) and not any(address in network_of(e) for e in block.get("except", []))
        for block in blocks
    )


def edges(network: Network) -> Iterator[Address]:
    """The first and last addresses of a network, and their neighbours outside."""
    first, last = int(network[0]), int(network[-1])
    kind = IPv4Address if network.version == 4 else IPv6Address
    most = 2**network.max_prefixlen - 1
    yield from (kind(number) for number in (first - 1, first, last, last + 1) if 0 <= number <= most)


def probes(settings: dict[str, str]) -> list[Address]:
    """Addresses at every edge of every table and setting, in all their spellings, and at random."""
    named = [ip_network(each.strip()) for text in settings.values() if "/" in text for each in text.split(",")]
    networks = [*addresses.FORBIDDEN_V4, *addresses.FORBIDDEN_V6, *addresses.METADATA, *named, ip_network("2000::/3")]
    plain = {address for network in networks for address in edges(network)}
    source = random.Random(SEED)
    plain |= {IPv4Address(source.getrandbits(32)) for _ in range(100)}
    plain |= {IPv6Address(source.getrandbits(128)) for _ in range(100)}
    v4 = [int(address) for address in plain if isinstance(address, IPv4Address)]
    prefixes = [NAT64, *(ip_network(each) for each in settings.get("RELAY_EGRESS_NAT64", "").split(",") if each)]
    return [*plain, *(IPv6Address(int(prefix[0]) | number) for prefix in prefixes for number in v4)]


@pytest.mark.parametrize("settings", SETTINGS)
def test_workers_reach_what_the_guard_allows(settings: dict[str, str]) -> None:
    """Callbacks and polls together; for each address and port that may differ."""
    loaded = load({**NEEDED, **settings})
    guards = (egress_policy(loaded), upstream_policy(loaded))
    rules = _outside(one(render({"settings": settings}), "NetworkPolicy", "-worker"))
    wrong = [
        (str(address), port)
        for address in probes(settings)
        for port in PORTS
        if passes(rules, address, port) != any(_allows(guard, address, port) for guard in guards)
        and not _is_only_in_code(address)
    ]
    assert wrong == []


def _outside(policy: Object) -> list[Object]:
    """The egress rules without those for name servers and Redis, which the guard does not judge."""
    return [rule for rule in policy["spec"]["egress"] if not {53, 6379} & {each.get("port") for each in rule["ports"]}]


def _allows(guard: EgressPolicy, address: Address, port: int) -> bool:
    verdict = guard.judge(address)
    return isinstance(verdict, Allowed) and (verdict.listed or port in guard.ports)


def _is_only_in_code(address: Address) -> bool:
    """What networks cannot express: ISATAP. Mapped addresses are not on the wire: packets have the IPv4 address."""
    if isinstance(address, IPv4Address):
        return False
    is_isatap = (int(address) >> 32) & 0xFDFFFFFF == 0x5EFE
    return is_isatap or address.ipv4_mapped is not None


def test_the_api_reaches_the_upstream_for_recordings() -> None:
    """And nothing that only callbacks may reach."""
    rules = _outside(one(render({"settings": PRIVATE}), "NetworkPolicy", "-api"))
    assert passes(rules, ip_address("10.30.0.1"), 443)
    assert passes(rules, ip_address("1.1.1.1"), 443)
    assert not passes(rules, ip_address("10.20.0.1"), 443)
    assert _outside(one(rendered("forward-proxy"), "NetworkPolicy", "-api")) == []


def test_name_servers_of_settings_are_reached() -> None:
    """RELAY_NAMESERVERS may name other ports than 53."""
    rules = one(rendered("private-receivers"), "NetworkPolicy", "-worker")["spec"]["egress"]
    for address, port in (("10.0.0.10", 53), ("10.0.0.11", 5353), ("fd00::10", 54), ("fd00::11", 53)):
        assert passes([rule for rule in rules if "to" in rule], ip_address(address), port), address


def test_only_the_relay_reaches_valkey() -> None:
    """Its pods connect to nothing."""
    policy = one(rendered("trial"), "NetworkPolicy", "-valkey")["spec"]
    callers = [
        peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for peer in policy["ingress"][0]["from"]
    ]
    assert (callers, policy["egress"]) == (["api", "worker"], [])
    assert policy["policyTypes"] == ["Ingress", "Egress"]


def test_nobody_calls_a_worker() -> None:
    """Only its metrics are open. Probes come from the node."""
    spec = one(rendered("everything"), "NetworkPolicy", "-worker")["spec"]
    assert [rule["ports"] for rule in spec["ingress"]] == [[{"port": 9464}]]
    closed = render({"metrics": {"enabled": False}})
    assert not one(closed, "NetworkPolicy", "-worker")["spec"]["ingress"]


def test_the_test_pod_may_call_a_closed_api() -> None:
    """`networkPolicy.api.peers` leaves `helm test` in."""
    peers = one(rendered("ingress"), "NetworkPolicy", "-api")["spec"]["ingress"][0]["from"]
    labels = [peer["podSelector"]["matchLabels"] for peer in peers if "podSelector" in peer]
    assert [each["app.kubernetes.io/component"] for each in labels] == ["test"]
