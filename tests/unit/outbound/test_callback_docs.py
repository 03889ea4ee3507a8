"""The signature examples of README.md and docs/callbacks.md verify as they are printed."""

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks.webhooks
from standardwebhooks import WebhookVerificationError

from relay.domain.model import SigningKey
from relay.domain.signing import Signer, new_private_key, new_secret, public_key

ROOT = Path(__file__).parents[3]
PAGES = ("README.md", "docs/callbacks.md")
BODY = b'{"type":"call.created","data":{"n":1.10}}'


@pytest.fixture
def names() -> dict[str, Any]:
    """What the page's Python defines, run from its first block to its last."""
    found: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs/callbacks.md").read_text(), re.DOTALL):
        exec(block, found)
    return found


def _printed(page: str) -> tuple[dict[str, str], bytes]:
    text = re.search(r"```http\n(POST .*?)\n```", (ROOT / page).read_text(), re.DOTALL)
    assert text
    head, _, body = text[1].partition("\n\n")
    return dict(line.split(": ", 1) for line in head.splitlines()[1:]), body.encode()


def _headers(key: str, *, now: int) -> dict[str, str]:
    signature = Signer((SigningKey(key=key),)).sign("msg_1", now, BODY, now_ms=now * 1000)
    return {"webhook-id": "msg_1", "webhook-timestamp": str(now), "webhook-signature": f"v9,x {signature}"}


@pytest.mark.parametrize("page", PAGES)
def test_the_printed_callback_verifies(page: str, names: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """With the printed secret, by hand, by the library, and where it has a v1a item with the printed public key."""
    headers, body = _printed(page)
    sent_at = int(headers["webhook-timestamp"])
    assert names["secret"] in (ROOT / page).read_text()
    assert names["is_genuine"](names["secret"], headers, body, now=sent_at)
    assert not names["is_genuine"](names["secret"], headers, body)
    assert not names["is_genuine"](names["secret"], headers, body + b" ", now=sent_at)
    assert names["is_signed_by"](names["public"], headers, body) == ("v1a" in headers["webhook-signature"])
    with pytest.raises(WebhookVerificationError, match="too old"):
        names["read_event"](names["secret"], headers, body)
    monkeypatch.setattr(standardwebhooks.webhooks, "datetime", _at(sent_at))
    assert names["read_event"](names["secret"], headers, body)["type"] == "call.created"


def test_the_timestamp_that_is_named_is_the_printed_one() -> None:
    """The page says which time to pass."""
    headers, _ = _printed("docs/callbacks.md")
    assert f"`now={headers['webhook-timestamp']}`" in (ROOT / "docs/callbacks.md").read_text()


def test_the_verifier_without_a_library_works(names: dict[str, Any]) -> None:
    """It accepts what is genuine and fresh, and nothing else."""
    secret, now = new_secret(b"k" * 32), int(time.time())
    assert names["is_genuine"](secret, _headers(secret, now=now), BODY)
    assert not names["is_genuine"](secret, _headers(secret, now=now), BODY + b" ")
    assert not names["is_genuine"](secret, _headers(secret, now=now - 301), BODY)
    assert not names["is_genuine"](new_secret(b"x" * 32), _headers(secret, now=now), BODY)


def test_the_verifier_for_key_pairs_works(names: dict[str, Any]) -> None:
    """The public key verifies what was signed with the private one, and nothing else."""
    private = new_private_key(b"s" * 32)
    headers = _headers(private, now=1)
    assert names["is_signed_by"](public_key(private), headers, BODY)
    assert not names["is_signed_by"](public_key(private), headers, BODY + b" ")
    assert not names["is_signed_by"](public_key(new_private_key(b"x" * 32)), headers, BODY)


def _at(seconds: int) -> type[datetime]:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "datetime":
            return datetime.fromtimestamp(seconds, tz or UTC)

    return Clock
