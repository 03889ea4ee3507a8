"""The sample receiver: only what is signed counts, and nothing counts twice unseen."""

import argparse
import base64
import io
import json
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from relay.cli import receiver
from relay.cli.receiver import Receiver
from relay.errors import Invalid

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
OTHER = "whsec_" + base64.b64encode(b"o" * 32).decode()
BODY = json.dumps(
    {"type": "call.created", "data": {"source": "main", "rowId": "7", "revision": 0, "classes": ["call"]}}
)


def signed(secret: str, *, webhook_id: str = "msg_a") -> dict[str, str]:
    now = datetime.now(UTC)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, now, BODY),
    }


def test_a_signed_callback_is_kept_once_and_told_apart_from_its_repeat() -> None:
    """The first of an id is new; the same again is answered well, too, and counted as a duplicate."""
    log = io.StringIO()
    crm = Receiver({"crm": Webhook(SECRET)}, [log])
    statuses = [crm.accept("crm", signed(SECRET, webhook_id=name), BODY.encode()) for name in ("a", "a", "b")]
    notes = [json.loads(line) for line in log.getvalue().splitlines()]
    assert statuses == [204, 204, 204]
    assert [note["duplicate"] for note in notes] == [False, True, False]
    assert notes[0]["rowId"] == "7"
    assert crm.state() == {
        "verified": 3,
        "duplicates": 1,
        "refused": 0,
        "paths": {"crm": {"verified": 3, "duplicates": 1, "refused": 0}},
    }


@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        ("crm", {}, BODY.encode()),
        ("crm", signed(OTHER), BODY.encode()),
        ("crm", signed(SECRET), BODY.replace("7", "8").encode()),
        ("crm", signed(SECRET), b"\xff"),
        ("crm", signed(SECRET) | {"webhook-signature": "nonsense"}, BODY.encode()),
        ("crm", signed(SECRET) | {"webhook-timestamp": "1000000000"}, BODY.encode()),
        ("elsewhere", signed(SECRET), BODY.encode()),
    ],
)
def test_what_is_not_signed_with_the_paths_secret_is_refused(path: str, headers: dict[str, str], body: bytes) -> None:
    """No headers, another secret, another body, an old time, a path without a secret: 401, and not kept."""
    crm = Receiver({"crm": Webhook(SECRET)}, [])
    assert crm.accept(path, headers, body) == 401
    assert crm.state()["verified"] == 0
    assert crm.state()["refused"] == 1


def test_a_secret_without_a_path_serves_every_path() -> None:
    """One secret is enough for a receiver of one endpoint, whatever its URL."""
    crm = Receiver({"": Webhook(SECRET)}, [])
    assert crm.accept("any/path", signed(SECRET), BODY.encode()) == 204


@pytest.mark.parametrize("secrets", [[], ["nonsense"], ["crm=nonsense"], ["whsec_"], ["whsec_!"]])
def test_without_a_usable_secret_it_does_not_start(secrets: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that could verify nothing says so instead of refusing every callback."""
    monkeypatch.delenv(receiver.SECRETS, raising=False)
    with pytest.raises(Invalid, match="RECEIVER_SECRETS"):
        receiver.run(argparse.Namespace(secret=secrets, log=None, quiet=True, host="", port=0))
