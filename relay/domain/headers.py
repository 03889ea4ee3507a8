"""The headers that a subscriber may add to its callbacks, and which of them hold secrets."""

import re
from collections.abc import Iterable, Iterator, Mapping

from relay.errors import Fault, Invalid

RESERVED = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "expect",
        "host",
        "http2-settings",
        "idempotency-key",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "trailers",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
    }
)
"""What the relay sets itself, or what would change how the request is framed."""
RESERVED_PREFIXES = ("svix-", "webhook-")
"""Receivers verify callbacks by headers that begin like this: nobody may add one."""

SECRET_WORDS = frozenset(
    {
        "accesskey", "assertion", "auth", "authentication", "authkey", "authorisation", "authorization", "bearer",
        "clientkey", "creds", "csrf", "hmac", "jwe", "jws", "key", "keys", "oauth", "otp", "pass", "passcode",
        "passphrase", "pat", "pin", "privatekey", "psk", "pwd", "saml", "secretkey", "session", "sessionid", "sid",
        "sig", "sign", "signingkey", "totp", "xauth", "xsrf",
    }
)  # fmt: skip
SECRET_ENDINGS = (
    "apikey", "apikeys", "cookie", "cookies", "credential", "credentials", "jwt", "passwd", "password", "passwords",
    "secret", "secrets", "signature", "signatures", "token", "tokens",
)  # fmt: skip
"""A header whose name has one of the words, or a word with one of the endings, holds a secret."""

MAX_HEADERS = 32
MAX_VALUE_CHARS = 4096

HEADER_NAME = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}\Z"
HEADER_VALUE = r"^([\x21-\x7e]([\t\x20-\x7e]*[\x21-\x7e])?)?\Z"

_NAME, _VALUE = re.compile(HEADER_NAME), re.compile(HEADER_VALUE)
_LETTERS = re.compile(r"[A-Za-z]+")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def is_sensitive(name: str) -> bool:
    """Whether a header's value is a secret, by the words of its name.

    >>> [is_sensitive(name) for name in ("X-Api-Key", "x-jwt", "X-ApiKey", "key2", "X-Author", "x-monkey")]
    [True, True, True, True, False, False]
    """
    words = [part for word in _LETTERS.findall(name) for part in (word, *_CAMEL.findall(word))]
    return any(word in SECRET_WORDS or word.endswith(SECRET_ENDINGS) for word in map(str.lower, words))


def check_new_headers(headers: Mapping[str, str], *, path: tuple[str | int, ...] = ("body", "headers")) -> None:
    """Raise Invalid with a fault for each header that a subscriber may not add.

    Stricter than `check_headers`, which holds for what an older release saved as well.
    """
    faults = list(repeated_names(headers, path=path))
    for name in headers:
        plain = name.lower()
        # Many servers do not tell `_` from `-` in the name of a header.
        if plain not in RESERVED and plain.replace("_", "-").startswith(RESERVED_PREFIXES):
            faults.append(Fault((*path, name), f"must not begin with {' or '.join(RESERVED_PREFIXES)}"))
        elif plain not in RESERVED and plain.replace("_", "-") in RESERVED:
            faults.append(Fault((*path, name), _is_reserved(name)))
    try:
        check_headers(headers, path=path)
    except Invalid as error:
        faults.extend(error.faults)
    if faults:
        raise Invalid(*faults)


def repeated_names(names: Iterable[str], *, path: tuple[str | int, ...] = ("body", "headers")) -> Iterator[Fault]:
    """A fault for each name that differs from an earlier one in its case only."""
    seen: dict[str, str] = {}
    for name in names:
        if name.lower() in seen:
            first = seen[name.lower()]
            yield Fault(
                (*path, name), f"is given twice: it is the same header as `{first}`, whatever the case of its name"
            )
        seen.setdefault(name.lower(), name)


def check_headers(headers: Mapping[str, str], *, path: tuple[str | int, ...] = ("body", "headers")) -> None:
    """Raise Invalid with a fault for each header that cannot be sent (RFC 9110 5), or that is the relay's own."""
    faults = []
    if len(headers) > MAX_HEADERS:
        faults.append(Fault(path, f"must have at most {MAX_HEADERS} headers, not {len(headers)}"))
    for name, value in headers.items():
        if not _NAME.match(name):
            problem = "is not a valid header name: 1 to 128 letters, digits and !#$%&'*+.^_`|~- are allowed"
            faults.append(Fault((*path, name), problem))
        elif name.lower() in RESERVED:
            faults.append(Fault((*path, name), _is_reserved(name)))
        elif len(value) > MAX_VALUE_CHARS or not _VALUE.match(value):
            problem = f"must be printable ASCII, at most {MAX_VALUE_CHARS} characters, without spaces at its ends"
            faults.append(Fault((*path, name), problem))
    if faults:
        raise Invalid(*faults)


def _is_reserved(name: str) -> str:
    return f"cannot be set: the relay, or the connection, sets {name.lower().replace('_', '-')} itself"
