"""What docs/callbacks.md tells subscribers to run does what it says."""

import re
import time
from pathlib import Path
from typing import Any

from relay.domain.model import SigningKey
from relay.domain.signing import Signer, new_private_key, new_secret, public_key

PAGE = Path(__file__).parents[3] / "docs/callbacks.md"
BODY = b'{"type":"call.created","data":{"n":1.10}}'


def _blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def _headers(key: str, *, now: int) -> dict[str, str]:
    signature = Signer((SigningKey(key=key),)).sign("msg_1", now, BODY, now_ms=now * 1000)
    return {"webhook-id": "msg_1", "webhook-timestamp": str(now), "webhook-signature": f"v9,x {signature}"}


def test_the_verifier_of_ten_lines_works() -> None:
    """It accepts what is genuine and fresh, and nothing else."""
    names: dict[str, Any] = {}
    exec(next(block for block in _blocks() if "def is_genuine" in block), names)
    secret, now = new_secret(b"k" * 32), int(time.time())
    assert names["is_genuine"](secret, _headers(secret, now=now), BODY)
    assert not names["is_genuine"](secret, _headers(secret, now=now), BODY + b" ")
    assert not names["is_genuine"](secret, _headers(secret, now=now - 301), BODY)
    assert not names["is_genuine"](new_secret(b"x" * 32), _headers(secret, now=now), BODY)


def test_the_verifier_for_key_pairs_works() -> None:
    """The public key verifies the item that was signed with the private one."""
    private = new_private_key(b"s" * 32)
    headers = _headers(private, now=1)
    names: dict[str, Any] = {
        "public": public_key(private),
        "item": headers["webhook-signature"].split(" ")[1],
        "signed": b"msg_1.1." + BODY,
    }
    exec("import base64\n" + next(block for block in _blocks() if "whpk_" in block), names)
