"""What a server sends back of the relay's secrets is hidden, however it is spelled and wherever it is cut."""

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.echoes import HIDDEN, SHORTEST, Echoes

SECRET = 'p@ss/wörd "x"<y>+=&z'
SPELLINGS = {
    "as it is": SECRET,
    "in a URL": quote(SECRET, safe=""),
    "in a URL, small": quote(SECRET, safe="").lower(),
    "in a form": quote_plus(SECRET),
    "in JSON": json.dumps(SECRET)[1:-1],
    "in JSON with /": json.dumps(SECRET)[1:-1].replace("/", "\\/"),
    "in JSON in UTF-8": json.dumps(SECRET, ensure_ascii=False)[1:-1],
    "in HTML": html.escape(SECRET),
    "in base64": base64.b64encode(SECRET.encode()).decode(),
    "in base64url": base64.urlsafe_b64encode(SECRET.encode()).decode(),
}


@pytest.mark.parametrize("spelled", SPELLINGS.values(), ids=SPELLINGS)
def test_every_spelling_is_hidden(spelled: str) -> None:
    hidden = Echoes([SECRET]).hide(f"you sent {spelled} to me".encode())
    assert hidden.startswith(b"you sent " + HIDDEN)
    assert spelled.encode() not in hidden


@given(
    st.text(min_size=SHORTEST, max_size=40), st.integers(0, 60), st.integers(0, 80), st.sampled_from(["a", "\n", "{"])
)
def test_no_cut_shows_a_part_of_a_secret(secret: str, before: int, most: int, filler: str) -> None:
    """Neither a cut of ours nor the end of what came."""
    try:
        plain = secret.encode()
    except UnicodeEncodeError:
        return
    text = filler.encode() * before + plain + filler.encode() * 3
    for sent in (text, text[: before + len(plain) // 2 + 2]):
        hidden = Echoes([secret]).hide(sent, most=most)
        shown = hidden.replace(HIDDEN, b"")
        assert plain.lower() not in shown.lower()
        if before < most and len(plain) > 2 * SHORTEST and not plain.lower().startswith(filler.encode()):
            assert plain[: SHORTEST + 1].lower() not in shown.lower() or plain[: SHORTEST + 1].isspace()


@given(st.binary(max_size=300), st.integers(0, 100))
def test_what_holds_no_secret_stays_as_it_is(text: bytes, most: int) -> None:
    assert Echoes([]).hide(text, most=most) == text[:most]
    assert Echoes(["a secret that nobody sends back"]).hide(text) == text or b"a se" in text.lower()


def test_short_secrets_are_not_hidden() -> None:
    """They would be found in any text."""
    assert Echoes(["abc", ""]).hide(b"abcabc") == b"abcabc"
