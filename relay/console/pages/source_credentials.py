"""The credentials in the form of a source: which fields each version of Infinity's API has, and what is sent."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Credentials(NamedTuple):
    """What a version of Infinity's API wants."""

    kind: str
    """The type of `auth` in the API."""
    fields: tuple[str, ...]
    """Its fields, in the form and in `auth`."""
    secret: str
    """The one that no page shows."""


VERSIONS = {
    "v2.1": Credentials("apiKey", ("key",), "key"),
    "v2": Credentials("basic", ("username", "password"), "password"),
}
SECRETS = tuple(each.secret for each in VERSIONS.values())
"""Fields that a form never shows, not even to the person who typed them."""


def faults_of(fields: Mapping[str, str], typed: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with the credentials of a form, by field. `typed`: the fields that were changed.

    >>> faults_of({"version": "v2.1", "password": "x"}, {"password": "x"})
    {'password': 'belongs to version v2: choose that version, or empty this field'}
    """
    chosen = fields.get("version", "")
    faults = {
        name: f"belongs to version {version}: choose that version, or empty this field"
        for version, other in VERSIONS.items()
        for name in other.fields
        if chosen in VERSIONS and version != chosen and typed.get(name)
    }
    if chosen == "v2" and not fields.get("username"):
        faults["username"] = "must not be empty: version v2 requires a user name and a password"
    return faults


def auth_of(fields: Mapping[str, str], typed: Mapping[str, str], stored: Mapping[str, Any] | None) -> dict[str, Any]:
    """`auth` in a body, for the API. Empty: the stored credentials stay. `stored`: `auth` of a source that exists."""
    wanted = VERSIONS.get(fields.get("version", ""))
    if wanted is None:
        return {}
    if stored is not None and stored["type"] == wanted.kind and not any(typed.get(name) for name in wanted.fields):
        return {}
    return {"auth": {"type": wanted.kind} | {name: fields[name] for name in wanted.fields if fields.get(name)}}
