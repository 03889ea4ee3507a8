"""Secrets stay out of everything that is printed: values of variables, and fields that are secrets by their names."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from relay.domain.headers import is_sensitive
from relay.domain.masking import HIDDEN
from relay.domain.secret_urls import masked

SHORTEST = 6
"""A shorter value of a variable is hidden where it is a whole text, and not in the middle of others."""
AUTH_SECRETS = frozenset({"key", "password", "token", "value", "clientSecret", "refreshToken", "privateKey"})
"""Fields of `auth` and `clientCertificate` that the API never shows."""


class Hiding:
    """Hides the values of variables, and of secret parameters of recipes."""

    def __init__(self, used: Mapping[str, str]) -> None:
        """`used`: the variables that a file names, with their values."""
        self._names: dict[str, str] = {}
        for name, value in used.items():
            self.add(value, f"${{{name}}}")

    def add(self, value: str, stands: str = HIDDEN) -> None:
        """Hide another value behind `stands`."""
        if value:
            self._names.setdefault(value, stands)

    def text(self, text: str) -> str:
        """A text without the values, the longest ones first, because one may contain another."""
        if text in self._names:
            return self._names[text]
        for value in sorted(self._names, key=len, reverse=True):
            if len(value) >= SHORTEST:
                text = text.replace(value, self._names[value])
        return text

    def value(self, value: Any) -> Any:
        """A JSON value without the values."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(each) for each in value]
        if isinstance(value, dict):
            return {name: self.value(each) for name, each in value.items()}
        return value


def without_secrets(name: str, value: Any, *, url_is_secret: bool = False) -> Any:
    """The value of a field of a source or an endpoint as everybody may see it."""
    if value is None:
        return None
    if name in ("auth", "clientCertificate") and isinstance(value, dict):
        return {key: HIDDEN if key in AUTH_SECRETS else each for key, each in value.items()}
    if name == "headers" and isinstance(value, dict):
        return {key: HIDDEN if is_sensitive(key) and each is not None else each for key, each in value.items()}
    if name == "secret":
        return HIDDEN
    if name == "url" and isinstance(value, str):
        return masked(value) if url_is_secret and value else _without_password(value)
    return value


def _without_password(url: str) -> str:
    try:
        parts = urlsplit(url)
        has_password = parts.password is not None
    except ValueError:
        return url
    return url.replace(f"{parts.netloc}", f"{HIDDEN}@{parts.netloc.rpartition('@')[2]}") if has_password else url
