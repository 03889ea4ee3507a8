"""Where a base URL from an authorization server may lead."""

import pytest

from relay.domain.addresses import EgressPolicy
from relay.domain.credentials import OAuth2
from relay.outbound.base_urls import moved_to
from relay.outbound.targets import vet_url
from relay.outbound.tokens.model import TokenRefused

AUTH = OAuth2(
    token_url="https://id.example", client_id="c", client_secret="s", base_url_field="f", base_url_suffix="Crm.Example"
)
TARGET = vet_url("https://login.example/a/b?c=d", EgressPolicy())


@pytest.mark.parametrize("base", ["https://x.crm.example", "https://X.CRM.example:443/ignored?e#f"])
def test_the_path_and_the_query_stay(base: str) -> None:
    """Only scheme, host and port of the base URL are used."""
    assert moved_to(TARGET, base, AUTH, EgressPolicy()).url == "https://x.crm.example/a/b?c=d"


@pytest.mark.parametrize(
    "base", ["http://x.crm.example", "https://x.crm.example:9999", "https://xcrm.example", "https://crm.example.evil"]
)
def test_other_servers_are_refused(base: str) -> None:
    """Plain http, another port, and hosts that are not within the suffix."""
    with pytest.raises(TokenRefused, match="base URL"):
        moved_to(TARGET, base, AUTH, EgressPolicy())
