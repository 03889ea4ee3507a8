"""Which headers a subscriber may add."""

import pytest

from relay.domain.headers import MAX_HEADERS, check_headers, check_new_headers, is_sensitive
from relay.errors import Invalid


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-crm-tenant": "42"},
        {"Authorization": "Bearer abc.def"},
        {"X-Empty": ""},
        {"x-tab": "a\tb c"},
    ],
)
def test_ordinary_headers_pass(headers: dict[str, str]) -> None:
    """Tokens as names and printable ASCII as values can be sent."""
    check_headers(headers)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("webhook-id", "1"),
        ("Webhook-Signature", "v1,x"),
        ("HOST", "internal"),
        ("Content-Length", "0"),
        ("transfer-encoding", "chunked"),
        ("", "x"),
        ("a b", "x"),
        ("a:b", "x"),
        ("ä", "x"),
        ("x", "a\r\nwebhook-id: 2"),
        ("x", "a\nb"),
        ("x", "a\x00b"),
        ("x", "ä"),
        ("x", " a"),
        ("x", "a "),
        ("x", "a" * 4097),
    ],
)
def test_a_header_that_would_change_the_request_is_refused(name: str, value: str) -> None:
    """Our own headers, framing headers, and whatever could smuggle a second header in are refused by name."""
    with pytest.raises(Invalid) as caught:
        check_headers({"x-fine": "1", name: value})
    assert [fault.path for fault in caught.value.faults] == [("body", "headers", name)]


def test_too_many_headers_are_refused() -> None:
    """The number of headers has a bound."""
    with pytest.raises(Invalid):
        check_headers({f"x-{number}": "1" for number in range(MAX_HEADERS + 1)})


@pytest.mark.parametrize(
    "name",
    [
        "svix-id", "Svix-Signature", "SVIX-anything", "webhook-id", "webhook-secret", "Webhook-X", "svix_id",
        "webhook_signature", "Content_Length", "transfer_encoding", "Host", "connection", "keep-alive", "TE", "upgrade",
        "Proxy-Authorization", "Idempotency_Key",
    ],
)  # fmt: skip
def test_headers_that_receivers_verify_by_cannot_be_set(name: str) -> None:
    """Neither under Svix's names nor under Standard Webhooks', nor with `_`, which many servers take for `-`."""
    with pytest.raises(Invalid) as caught:
        check_new_headers({"x-fine": "1", name: "x"})
    assert {fault.path for fault in caught.value.faults} == {("body", "headers", name)}


def test_a_header_is_given_once() -> None:
    """Names are not case-sensitive: one of the two would be lost."""
    with pytest.raises(Invalid, match="given twice"):
        check_new_headers({"X-Team": "a", "x-team": "b"})


def test_what_an_older_release_saved_can_still_be_sent() -> None:
    """An endpoint does not stop because a name was reserved after it was made."""
    check_headers({"svix-tenant": "1"})


@pytest.mark.parametrize(
    "name",
    [
        "Authorization", "X-Auth", "x-auth-token", "X-Api-Key", "x_api_key", "apikey", "api-key2",
        "X-ApiKey", "X-JWT", "x-jwt", "cookie", "Set-Cookie", "X-Secret", "clientSecret", "X-Session-Id",
        "x-sessionid", "X-Signature", "x-hub-signature-256", "Password", "x-passwd", "X-Credential", "credentials",
        "x-bearer", "PRIVATE-TOKEN", "X-CrmToken", "x-crmtoken", "accesstoken", "X.Key", "x-csrf", "X-OTP", "x-keys",
    ],
)  # fmt: skip
def test_a_header_that_holds_a_secret_is_known_by_its_words(name: str) -> None:
    """Split at whatever is no letter, and where a capital begins."""
    assert is_sensitive(name)


@pytest.mark.parametrize(
    "name",
    [
        "X-Author", "x-authors", "X-Monkey", "x-keyboard", "X-Tenant", "x-country-code", "X-Passenger",
        "x-bypass-cache", "X-Secretary",
        "x-tokenizer", "x-sessions-url", "Accept", "X-Request-Id", "x-design", "x-pinned", "Authority",
        "x-turkey", "x-cookiecutter", "X-Compass",
    ],
)  # fmt: skip
def test_a_header_that_only_sounds_like_a_secret_is_shown(name: str) -> None:
    """Words, and not parts of words."""
    assert not is_sensitive(name)
