"""What authorization servers answer: whatever it is, there is a token, or an error that shows none of it."""

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.credentials import OAuth2
from relay.outbound.tokens.answers import issued
from relay.outbound.tokens.model import TokenRefused

AUTH = OAuth2(
    token_url="https://id.example", client_id="c", client_secret="s", base_url_field="url",
    base_url_suffix="crm.example",
)  # fmt: skip
TOKEN = b'{"access_token":"t","url":"https://a.crm.example"'


@pytest.mark.parametrize(
    "more", [b',"n":1e999}', b',"n":"\xff"}', b',"n":' + b"9" * 5000 + b"}", b',"n":null}'],
    ids=["a number without end", "no UTF-8", "many digits", "null"],
)  # fmt: skip
def test_what_the_token_does_not_need_may_be_nonsense(more: bytes) -> None:
    """Other members of the answer are passed over, also if they cannot be read."""
    assert issued(AUTH, 200, TOKEN + more).token.base_url == "https://a.crm.example"


@pytest.mark.parametrize("url", [b"null", b"7", b'""', b'"\xff"', b"[" * 100_000, b'"' + b"x" * 5000 + b'"', b"1e999"])
def test_a_base_url_that_is_none_refuses(url: bytes) -> None:
    """It says so, and shows nothing of it."""
    with pytest.raises(TokenRefused) as refused:
        issued(AUTH, 200, b'{"access_token":"secret-text","url":' + url + b"}")
    assert "secret-text" not in str(refused.value)


@given(st.sampled_from([200, 201, 204, 400, 401, 500]), st.binary(max_size=300) | st.text().map(str.encode))
def test_no_answer_raises_anything_else(status: int, body: bytes) -> None:
    """Nonsense is a refusal."""
    for answer in (body, b'{"access_token":' + body + b"}", TOKEN + b"," + body + b"}"):
        with suppress(TokenRefused):
            issued(AUTH, status, answer)


@given(st.floats() | st.integers() | st.text(max_size=40) | st.none() | st.booleans())
def test_any_life_is_bounded(expires_in: object) -> None:
    """A life that is none, negative, or without end is the usual one."""
    body = msgspec.json.encode({"access_token": "t", "url": "https://a.crm.example", "expires_in": expires_in})
    try:
        fresh_s = issued(AUTH, 200, body).fresh_s
    except TokenRefused:
        return
    assert 1.0 <= fresh_s <= 30 * 86_400
