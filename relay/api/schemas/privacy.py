"""Privacy rules on the wire."""

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta

from relay.api.schemas.checks import check_private_column
from relay.api.schemas.common import In, Out
from relay.domain.privacy import RULES_MOST, Action, PrivacyRule

Column = Annotated[str, Meta(min_length=1, max_length=256, extra={"check": check_private_column})]


class PrivacyRuleIn(In, frozen=True, kw_only=True):
    """What happens to one column of each row, in `data.trigger` and in `data.previous`."""

    field: Column
    """The name of the column, such as `srcPhoneNumber`."""
    action: Action
    """`mask`: the characters become `*`, except the last three of a text with eight or more; a number becomes null.
    `hash`: the value becomes `hmac_` and its HMAC-SHA256 in hex, with a key of the application. `drop`: the column is
    left out."""


class PrivacyRuleOut(Out, frozen=True, kw_only=True):
    """What happens to one column of each row, in `data.trigger` and in `data.previous`."""

    field: str
    """The name of the column."""
    action: Action
    """What happens to its value."""


PrivacyIn = Annotated[list[PrivacyRuleIn], Meta(max_length=RULES_MOST)]


def show_rules(rules: Iterable[PrivacyRule]) -> list[PrivacyRuleOut]:
    """Rules as responses show them."""
    return [PrivacyRuleOut(field=rule.field, action=rule.action) for rule in rules]


def read_rules(rules: Iterable[PrivacyRuleIn] | None) -> tuple[PrivacyRule, ...]:
    """Rules as they are stored, without repeated ones."""
    return tuple({(r.field, r.action): PrivacyRule(field=r.field, action=r.action) for r in rules or ()}.values())
