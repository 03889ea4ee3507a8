"""URLs of subscribers: what can never be dialled is refused when it is saved."""

from ipaddress import ip_address, ip_network

import pytest

from relay.domain.addresses import EgressPolicy
from relay.errors import Invalid
from relay.outbound.targets import vet_url
from tests.fault.addresses import HOSTS, NAMES

PUBLIC_ONLY = EgressPolicy()
PRIVATE_TOO = EgressPolicy(allow=(ip_network("10.1.0.0/16"), ip_network("127.0.0.0/8")))

OTHERS = [
    "",
    "https://",
    "https:///path",
    "https:example.com",
    "https:/example.com",
    "//example.com",
    "example.com",
    "ftp://example.com",
    "gopher://example.com",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "unix:/run/redis.sock",
    "wss://example.com",
    "http://example.com",
    "HTTP://EXAMPLE.COM",
    "http://8.8.8.8",
    "http://[2001:4860:4860::8888]",
    "https://134744072",
    "https://0x8.8.8.8",
    "https://8.8.8.8.",
    "https://８.8.8.8",
    "https://example.com:80",
    "https://example.com:22",
    "https://example.com:6379",
    "https://example.com:65536",
    "https://8.8.8.8:8080",
    "https://exam ple.com",
    "https://example.com/a b",
    " https://example.com",
    "https://example.com\n",
    "https://example.com/\r\nwebhook-id: 1",
    "https:\\\\example.com",
    "https://xn--a",
    "https://\ud800.com",
    "https://" + "a" * 64 + ".com",
    "https://" + "a." * 127 + "com",
    "https://example.com/" + "a" * 2048,
]

REFUSED = (
    [f"https://{host}/hook" for host in (*HOSTS, *NAMES)]
    + [f"HTTPS://{host}:8443" for host in HOSTS]
    + [f"http://{host}" for host in HOSTS]
    + OTHERS
)


@pytest.mark.parametrize("url", REFUSED, ids=ascii)
def test_a_url_that_leads_inside_is_refused(url: str) -> None:
    """Addresses in any spelling, names that only exist inside, other schemes and ports: all refused, with the field."""
    with pytest.raises(Invalid) as caught:
        vet_url(url, PUBLIC_ONLY)
    assert [fault.path for fault in caught.value.faults] == [("body", "url")]


def test_the_corpus_is_as_large_as_it_should_be() -> None:
    """At least 140 refused spellings (goal G30)."""
    assert len(set(REFUSED)) >= 140


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "127.0.0.1", "[::1]", "169.254.169.254", "localhost", "metadata", "api.svc"]
)
def test_one_text_for_every_forbidden_place(host: str) -> None:
    """The message is the same whatever is at the address, so it cannot be used to look around."""
    with pytest.raises(Invalid) as caught:
        vet_url(f"https://{host}/", PUBLIC_ONLY)
    assert caught.value.faults[0].message.startswith("this address is not allowed")


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://example.com/hook?token=1", "example.com", 443),
        ("HTTPS://EXAMPLE.com:443/", "example.com", 443),
        ("https://example.com:8443", "example.com", 8443),
        ("https://bücher.example.com/ä", "xn--bcher-kva.example.com", 443),
        ("https://8.8.8.8/", "8.8.8.8", 443),
        ("https://[2001:4860:4860::8888]:8443/", "2001:4860:4860::8888", 8443),
        ("https://[2606:4700:4700::1111]/", "2606:4700:4700::1111", 443),
        ("https://hooks_in.example.com/", "hooks_in.example.com", 443),
    ],
)
def test_a_public_url_is_parsed_once_as_it_will_be_dialled(url: str, host: str, port: int) -> None:
    """The target carries the host in the spelling that the client dials."""
    target = vet_url(url, PUBLIC_ONLY)
    assert (target.host, target.port, target.listed_only) == (host, port, False)
    assert (target.shown.raw_host.decode(), target.url) == (host, str(target.shown))


def test_the_origin_shows_nothing_of_the_path_or_query() -> None:
    """What is logged of a target holds no secret of its subscriber."""
    assert vet_url("https://example.com:8443/secret?token=1", PUBLIC_ONLY).origin == "https://example.com:8443"


@pytest.mark.parametrize(
    ("url", "listed_only"),
    [
        ("http://10.1.2.3/", True),
        ("http://10.1.2.3:8080/", True),
        ("https://10.1.2.3:9000/", True),
        ("https://10.1.2.3/", False),
        ("http://127.0.0.1:9000/", True),
        ("http://localhost:9000/", True),
        ("http://crm:8080/", True),
        ("http://crm.sales.svc.cluster.local/", True),
        ("https://crm.sales.svc/", True),
        ("http://example.com/", True),
        ("https://example.com:9000/", True),
        ("https://example.com/", False),
    ],
)
def test_allowed_networks_open_http_ports_and_local_names_judged_when_dialled(url: str, listed_only: bool) -> None:
    """With networks in `allow`, a name may be plain or local, but then all its addresses must be allowed ones."""
    assert vet_url(url, PRIVATE_TOO).listed_only is listed_only


@pytest.mark.parametrize(
    "url", ["http://10.2.0.1/", "https://10.2.0.1/", "http://8.8.8.8/", "https://8.8.8.8:9000/", "https://metadata/"]
)
def test_what_is_not_allowed_stays_refused(url: str) -> None:
    """`allow` opens exactly its networks."""
    with pytest.raises(Invalid):
        vet_url(url, PRIVATE_TOO)


def test_localhost_needs_loopback_in_allow() -> None:
    """`localhost` is accepted only where a loopback network is allowed."""
    with pytest.raises(Invalid):
        vet_url("http://localhost/", EgressPolicy(allow=(ip_network("10.0.0.0/8"),)))
    assert vet_url("http://localhost/", PRIVATE_TOO).address is None


def test_an_address_is_judged_when_it_is_saved() -> None:
    """A literal needs no look-up later: the target carries the judged address."""
    assert vet_url("https://8.8.8.8/", PUBLIC_ONLY).address == ip_address("8.8.8.8")
