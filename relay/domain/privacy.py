"""Privacy rules: which columns of a row an application or an endpoint must not receive as they are.

A rule names a column, and masks, hashes or drops its value in `trigger` and in `previous`. The rules of an application
come first, and those of an endpoint work on what they leave. So an endpoint can hide more, and never less.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from relay.domain import json_text
from relay.domain.paths import MISSING, columns_of

Action = Literal["mask", "hash", "drop"]
RULES_MOST = 64
"""The maximum number of rules of an application, and of an endpoint."""
SHOWN = 3
"""How many of the last characters `mask` leaves."""
MASKED_LEAST = 8
"""Characters that a text must have to keep its last ones."""
TOKEN_PREFIX = "hmac_"  # noqa: S105 - what tokens begin with
TOKEN_CONTEXT = b"relay privacy token\0"
_MARK = b'"data":'


class PrivacyRule(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to one column."""

    field: str
    """The name of a column of the row, such as `srcPhoneNumber`."""
    action: Action


class Privacy(msgspec.Struct, frozen=True, kw_only=True):
    """The rules for one reader, in the order in which they apply, and the key of its application's tokens."""

    rules: tuple[PrivacyRule, ...] = ()
    key: str = msgspec.field(default="")

    def __repr__(self) -> str:
        return f"Privacy({self.rules!r})"


def protect(stored: bytes, privacy: Privacy) -> bytes:
    """The stored bytes of an event (see relay.domain.envelope) as a reader may have them.

    It is a pure function, so each attempt of a delivery has the same bytes. Without rules, they are those stored.
    """
    if not privacy.rules:
        return stored
    head, mark, content = stored.partition(_MARK)
    data: dict[str, Any] = json_text.decode(content[:-1])
    return head + mark + json_text.encode(protect_data(data, privacy)) + b"}"


def protect_data(data: dict[str, Any], privacy: Privacy) -> dict[str, Any]:
    """The same for decoded `data`."""
    columns = {part: data[part] for part in ("trigger", "previous") if isinstance(data.get(part), dict)}
    return data | {part: _protected(each, privacy) for part, each in columns.items()}


def hidden_by(rules: Iterable[PrivacyRule], fields: Iterable[str]) -> str | None:
    """The first of the fields, as filters name them, whose value rules hide; None: they hide none of them.

    >>> rules = [PrivacyRule(field="num", action="drop")]
    >>> hidden_by(rules, ["act", "previous.num"]), hidden_by(rules, ["trigger"]), hidden_by(rules, ["act"])
    ('previous.num', 'trigger', None)
    """
    names = {rule.field for rule in rules}
    if not names:
        return None
    return next((field for field in fields if _columns(field) & {*names, None}), None)


def token(value: Any, key: str) -> str:
    """What `hash` puts in the place of a value: `hmac_` and HMAC-SHA256 in hex. Equal values have equal tokens."""
    text = value if isinstance(value, str) else json_text.encode(value).decode()
    return TOKEN_PREFIX + hmac.new(key.encode(), TOKEN_CONTEXT + text.encode(), hashlib.sha256).hexdigest()


def mask(value: Any) -> Any:
    """A value without what it says: texts keep their length, and long ones their last three characters.

    >>> mask("+442079460000"), mask("private"), mask(7), mask(["secret"])
    ('**********000', '*******', None, ['******'])
    """
    if isinstance(value, str):
        kept = SHOWN if len(value) >= MASKED_LEAST else 0
        return "*" * (len(value) - kept) + value[len(value) - kept :]
    if isinstance(value, list):
        return [mask(each) for each in value]
    if isinstance(value, dict):
        return {name: mask(each) for name, each in value.items()}
    return None


def _protected(columns: Mapping[str, Any], privacy: Privacy) -> dict[str, Any]:
    protected = dict(columns)
    for rule in privacy.rules:
        value = protected.get(rule.field, MISSING)
        if value is MISSING:
            continue
        if rule.action == "drop":
            del protected[rule.field]
        elif value is not None:
            protected[rule.field] = token(value, privacy.key) if rule.action == "hash" else mask(value)
    return protected


def _columns(field: str) -> frozenset[str | None]:
    """The columns that a field of a filter reads; None among them: any."""
    if field == "previous":
        return frozenset((None,))
    return columns_of(field.removeprefix("previous.")) if field.startswith("previous.") else columns_of(field)
