"""Secrets at rest."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.domain.model import Secret
from relay.errors import Unreadable
from relay.store.vault import Vault


def key(byte: int) -> Secret:
    return Secret(base64.b64encode(bytes([byte]) * 32).decode())


@given(text=st.binary(max_size=200), context=st.text(max_size=30))
@settings(max_examples=50)
def test_what_was_sealed_opens_in_its_context(text: bytes, context: str) -> None:
    """Any text comes back as it was, and the sealed form is plain ASCII."""
    vault = Vault([key(1)])
    sealed = vault.seal(text, context)
    assert sealed.isascii()
    assert vault.open(sealed, context) == text


def test_a_sealed_text_does_not_show_what_it_holds_nor_that_two_are_equal() -> None:
    """Neither the text nor its equality to another can be read from the sealed form."""
    vault = Vault([key(1)])
    first, second = vault.seal(b"canary-secret", "a"), vault.seal(b"canary-secret", "a")
    assert first != second
    assert b"canary" not in base64.urlsafe_b64decode(first.split(".")[3])


@pytest.mark.parametrize("context", ["endpoint|ep_2|keys", "endpoint|ep_1|auth", "source|ep_1|keys", ""])
def test_a_sealed_text_that_was_moved_elsewhere_is_refused(context: str) -> None:
    """A ciphertext of one endpoint's field opens for no other endpoint, field or kind."""
    vault = Vault([key(1)])
    sealed = vault.seal(b"whsec", "endpoint|ep_1|keys")
    with pytest.raises(Unreadable, match="seal is broken"):
        vault.open(sealed, context)


def test_a_sealed_text_that_was_changed_is_refused() -> None:
    """Each letter of the sealed form is under the seal: none of them can be changed."""
    vault = Vault([key(1)])
    sealed = vault.seal(b"whsec", "c")
    for at, letter in enumerate(sealed):
        changed = sealed[:at] + ("A" if letter != "A" else "B") + sealed[at + 1 :]
        if _bits(changed) == _bits(sealed):
            continue  # The last letter of base64 has bits that stand for nothing.
        with pytest.raises(Unreadable):
            vault.open(changed, "c")


def test_keys_are_rotated_without_losing_what_older_ones_sealed() -> None:
    """With the new key first and the old one behind it, old texts open and new ones are sealed under the new key."""
    old, new = Vault([key(1)]), Vault([key(2), key(1)])
    assert new.open(old.seal(b"text", "c"), "c") == b"text"
    fresh = new.seal(b"text", "c")
    assert Vault([key(2)]).open(fresh, "c") == b"text"
    with pytest.raises(Unreadable, match="RELAY_ENCRYPTION_KEY"):
        old.open(fresh, "c")


@pytest.mark.parametrize("ring", [[], [Secret("c2hvcnQ=")], [key(1), Secret("c2hvcnQ=")]])
def test_a_missing_or_short_key_is_refused_at_start(ring: list[Secret]) -> None:
    """There is no silent way to keep secrets in the clear."""
    with pytest.raises(ValueError, match="32 bytes"):
        Vault(ring)


def _bits(sealed: str) -> list[bytes | str]:
    try:
        version, kid, *parts = sealed.split(".")
        return [version, kid, *(base64.urlsafe_b64decode(part) for part in parts)]
    except ValueError:
        return []
