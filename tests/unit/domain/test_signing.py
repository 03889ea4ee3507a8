"""Signatures, against the public vectors and the verifiers that subscribers use."""

import base64
import json
import time

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook as StandardWebhook
from standardwebhooks.webhooks import WebhookVerificationError
from svix.webhooks import Webhook as SvixWebhook

from relay.domain.model import SigningKey
from relay.domain.signing import Signer, check_key, new_private_key, new_secret, public_key
from relay.errors import Invalid

MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP_S = 1614265330
BODY = b'{"test": 2432232314}'
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PRIVATE = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
V1 = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
V1A = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="


def keys(*texts: str) -> tuple[SigningKey, ...]:
    return tuple(SigningKey(key=text) for text in texts)


@pytest.mark.parametrize(("key", "signature"), [(SECRET, V1), (PRIVATE, V1A)])
def test_the_public_vectors_of_standard_webhooks_come_out_exactly(key: str, signature: str) -> None:
    """The specification's two vectors are signed byte for byte."""
    assert Signer(keys(key)).sign(MESSAGE_ID, TIMESTAMP_S, BODY, now_ms=0) == signature


def test_every_valid_key_signs_in_order_joined_by_spaces() -> None:
    """The current key comes first, rotated ones follow, and both versions may stand in one header."""
    assert Signer(keys(SECRET, PRIVATE)).sign(MESSAGE_ID, TIMESTAMP_S, BODY, now_ms=0) == f"{V1} {V1A}"


def test_a_rotated_key_signs_until_it_expires_and_not_a_millisecond_longer() -> None:
    """During the overlap both keys verify, afterwards only the new one is there."""
    signer = Signer((SigningKey(key=PRIVATE), SigningKey(key=SECRET, expires_at_ms=5_000)))
    assert signer.sign(MESSAGE_ID, TIMESTAMP_S, BODY, now_ms=4_999) == f"{V1A} {V1}"
    assert signer.sign(MESSAGE_ID, TIMESTAMP_S, BODY, now_ms=5_000) == V1A


@given(secret=st.binary(min_size=24, max_size=64), old=st.binary(min_size=32, max_size=32), text=st.text(max_size=100))
@settings(max_examples=50)
def test_subscribers_libraries_accept_what_is_signed_with_any_of_two_keys(secret: bytes, old: bytes, text: str) -> None:
    """The verifiers `standardwebhooks` and `svix` accept each key of a rotation, and no other."""
    current, rotated = new_secret(secret), new_secret(old)
    now = int(time.time())
    body = json.dumps(text, ensure_ascii=False).encode()
    signature = Signer(keys(current, rotated)).sign(MESSAGE_ID, now, body, now_ms=now * 1000)
    standard = {"webhook-id": MESSAGE_ID, "webhook-timestamp": str(now), "webhook-signature": signature}
    for key in (current, rotated):
        for verifier in (StandardWebhook(key), SvixWebhook(key)):
            verifier.verify(body, standard)  # type: ignore[arg-type]
    with pytest.raises(WebhookVerificationError):
        StandardWebhook(new_secret(b"another" * 5)).verify(body, standard)  # type: ignore[arg-type]


@given(seed=st.binary(min_size=32, max_size=32), body=st.binary(max_size=200))
@settings(max_examples=30)
def test_an_ed25519_signature_verifies_with_the_public_key_that_subscribers_get(seed: bytes, body: bytes) -> None:
    """`whpk_…` of a `whsk_…` verifies its signatures and nothing else."""
    private = new_private_key(seed)
    item = Signer(keys(private)).sign(MESSAGE_ID, TIMESTAMP_S, body, now_ms=0)
    signature = base64.b64decode(item.removeprefix("v1a,"))
    verifier = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key(private).removeprefix("whpk_")))
    verifier.verify(signature, b"%s.%d.%s" % (MESSAGE_ID.encode(), TIMESTAMP_S, body))
    with pytest.raises(InvalidSignature):
        verifier.verify(signature, b"%s.%d.%s" % (MESSAGE_ID.encode(), TIMESTAMP_S + 1, body))


def test_a_private_key_may_be_the_seed_alone() -> None:
    """A `whsk_` of 32 bytes is the same key as the one with its public half behind it."""
    seed = base64.b64encode(base64.b64decode(PRIVATE.removeprefix("whsk_"))[:32]).decode()
    assert Signer(keys(f"whsk_{seed}")).sign(MESSAGE_ID, TIMESTAMP_S, BODY, now_ms=0) == V1A
    assert public_key(f"whsk_{seed}") == public_key(PRIVATE)


def text_of(size: int) -> str:
    return base64.b64encode(b"\x07" * size).decode()


@pytest.mark.parametrize(
    "key",
    [
        "",
        "secret",
        text_of(32),
        f"whpk_{text_of(32)}",
        "whsec_",
        "whsec_not base64 at all, is it",
        f"whsec_{text_of(23)}",
        f"whsec_{text_of(65)}",
        f"whsec_{text_of(32)}\n",
        "whsec_ключключключключключключключ",
        f"whsk_{text_of(31)}",
        f"whsk_{text_of(33)}",
        f"whsk_{text_of(64)}",
    ],
)
def test_an_unusable_key_is_refused_without_being_repeated(key: str) -> None:
    """A wrong prefix, wrong base64, a wrong length or a public half of another key is refused, and not shown."""
    with pytest.raises(Invalid) as caught:
        check_key(key, path=("body", "key"))
    assert caught.value.faults[0].path == ("body", "key")
    assert len(key) < 8 or key[6:] not in str(caught.value)
    with pytest.raises(Invalid):
        Signer(keys(key))


@pytest.mark.parametrize("key", [SECRET, PRIVATE, f"whsec_{text_of(24)}", f"whsec_{text_of(64)}"])
def test_a_usable_key_passes(key: str) -> None:
    """Secrets from 24 to 64 bytes and private keys are accepted."""
    check_key(key)


def test_an_endpoint_without_keys_cannot_sign() -> None:
    """Nothing is ever sent unsigned."""
    with pytest.raises(Invalid):
        Signer(())


@pytest.mark.parametrize("size", [0, 23, 65])
def test_a_secret_of_the_wrong_length_is_never_made(size: int) -> None:
    """`new_secret` keeps to the specification's bounds."""
    with pytest.raises(ValueError, match="24 to 64"):
        new_secret(b"x" * size)
