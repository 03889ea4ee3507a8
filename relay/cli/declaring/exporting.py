"""What the relay has, as a file that `relay apply` reads: without secrets, ids, times, and values that are defaults."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml  # type: ignore[import-untyped]

from relay.cli.declaring.document import escaped
from relay.cli.declaring.planning import KEPT, Present
from relay.domain.masking import printable
from relay.domain.model import DISABLED_BY_HAND
from relay.domain.secret_urls import HIDDEN_PATH

SOURCE_DEFAULTS: Mapping[str, Any] = {
    "version": "v2.1", "pollIntervalSeconds": 60.0, "batchSize": 1000, "startRowId": None, "paused": False,
}  # fmt: skip
APPLICATION_FIELDS = ("name", "throttleRate", "budgets", "metadata", "sources", "filter", "privacy")
ENDPOINT_DEFAULTS: Mapping[str, Any] = {
    "type": "webhook", "url": "", "urlIsSecret": False, "description": "", "paused": False, "disabled": False,
    "eventTypes": None,
    "channels": None, "throttleRate": None, "rates": [], "concurrency": None, "budget": None, "delaySeconds": 0.0,
    "newestOnly": False, "metadata": {}, "filter": None, "privacy": [], "include": [], "method": "POST",
    "urlParameters": {}, "transformation": None, "transformationEnabled": True, "variables": {}, "lookup": None,
    "capture": None, "verdicts": [], "batch": None, "maxInFlight": 64, "order": "unordered", "orderKey": None,
    "retrySchedule": None, "signatures": ["v1"], "auth": None, "clientCertificate": None, "headers": {},
}  # fmt: skip
"""The fields of an endpoint that a file has, in their order, with their defaults."""
SECRETS: Mapping[str, tuple[str, ...]] = {
    "basic": ("password",), "bearer": ("token",), "oauth2": ("clientSecret",),
    "oauth2RefreshToken": ("clientSecret", "refreshToken"), "oauth2JwtBearer": ("privateKey",),
    "googleServiceAccount": ("key",),
}  # fmt: skip
"""The secrets of credentials, by their type. `apiKey` is `value` of an endpoint, and `key` of a source."""
NOT_DECLARED = ("tokenUrl", "clientEmail", "keyId")
"""Of a service account: its key has them."""


_ODD = re.compile(r"[^A-Z0-9]+")
"""Characters that the name of a variable does not have."""
_NO_BLOCK = re.compile(r"[ \t]\n|[^\x00-\uffff]|\A[ \n]")
"""What a block of YAML cannot have, or would lose."""


class Export:
    """The file, and which secrets are not in it."""

    def __init__(self, present: Present, *, placeholders: bool = False) -> None:
        """`placeholders`: secrets stand in the file as `${NAME}`, to be set as variables."""
        self._placeholders = placeholders
        self.secrets: dict[str, str] = {}
        """Where secrets belong, with the names of variables for them."""
        self.whole = {
            "sources": {uid: self._source(uid, shown) for uid, shown in sorted(present.sources.items())},
            "applications": {
                uid: self._application(uid, shown, present.endpoints.get(uid, {}))
                for uid, shown in sorted(present.applications.items())
            },
        }

    def text(self) -> str:
        """The file in YAML, with a comment that names the secrets."""
        head = ["# What `relay apply -f` reads. docs/cli.md describes it."]
        if self.secrets and not self._placeholders:
            head.append("# Secrets are not in this file. The relay keeps those that it has. For another relay, add:")
            head += [f"#   {place}: ${{{name}}}" for place, name in self.secrets.items()]
        body = yaml.dump(self.whole, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
        # What a terminal must not show stands only in quotes, in which its escapes are those of YAML.
        return "\n".join(map(printable, [*head, *str(body).split("\n")]))

    def _source(self, uid: str, shown: Mapping[str, Any]) -> dict[str, Any]:
        place = f"sources.{uid}"
        found = _without_defaults(shown, (*KEPT, "paused"), {**SOURCE_DEFAULTS, "name": uid})
        found["auth"] = self._auth(shown["auth"], f"{place}.auth", ("key",))
        return found

    def _application(
        self, uid: str, shown: Mapping[str, Any], endpoints: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, Any]:
        found = _without_defaults(shown, APPLICATION_FIELDS, {"budgets": {}, "metadata": {}, "privacy": []})
        place = f"applications.{uid}.endpoints"
        found["endpoints"] = {
            each: self._endpoint(f"{place}.{each}", shown) for each, shown in sorted(endpoints.items())
        }
        return found

    def _endpoint(self, place: str, shown: Mapping[str, Any]) -> dict[str, Any]:
        found = _without_defaults(shown, ENDPOINT_DEFAULTS, ENDPOINT_DEFAULTS)
        if shown.get("disabledReason") not in (None, DISABLED_BY_HAND):
            found.pop("disabled", None)  # The relay disabled it, and another relay decides for itself.
        if shown.get("type", "webhook") == "webhook":
            found |= self._hidden(place, ("secret",))
        if shown.get("urlIsSecret") and str(shown["url"]).endswith(HIDDEN_PATH):
            found["url"] = self._secret(f"{place}.url", shown["url"])
        if shown.get("auth"):
            found["auth"] = self._auth(shown["auth"], f"{place}.auth", ("value",))
        if shown.get("clientCertificate"):
            certificate = dict(found["clientCertificate"])
            found["clientCertificate"] = certificate | self._hidden(f"{place}.clientCertificate", ("privateKey",))
        if found.get("headers"):
            found["headers"] = {
                name: self._secret(f"{place}.headers.{name}", None) if value is None else escaped(value)
                for name, value in found["headers"].items()
            }
        return found

    def _auth(self, shown: Mapping[str, Any], place: str, of_api_key: tuple[str, ...]) -> dict[str, Any]:
        kind = shown["type"]
        left_out = NOT_DECLARED if kind == "googleServiceAccount" else ()
        visible = {name: escaped(value) for name, value in shown.items() if name not in left_out and value is not None}
        return visible | self._hidden(place, SECRETS.get(kind, of_api_key))

    def _hidden(self, place: str, names: Iterable[str]) -> dict[str, Any]:
        found = {name: self._secret(f"{place}.{name}", None) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    def _secret(self, place: str, otherwise: Any) -> Any:
        parts = [part for part in place.split(".") if part not in ("sources", "applications", "endpoints")]
        name = _ODD.sub("_", "_".join(parts).upper()).strip("_")
        name = f"_{name}" if name[:1].isdigit() else name
        while name in self.secrets.values():
            name += "_"
        self.secrets[place] = name
        return f"${{{name}}}" if self._placeholders else otherwise


NESTED = ("verdicts", "lookup", "capture", "batch", "budgets")
MEANT = ("equals",)
"""A field of a verdict in which null is a value."""


def _without_defaults(shown: Mapping[str, Any], names: Iterable[str], defaults: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: escaped(_brief(shown[name]) if name in NESTED else shown[name])
        for name in names
        if name in shown and not _is_default(shown[name], defaults.get(name))
    }


def _brief(value: Any) -> Any:
    """Without the fields of inner objects that are null, which is what an omitted one is."""
    if isinstance(value, list):
        return [_brief(each) for each in value]
    if isinstance(value, dict):
        return {name: _brief(each) for name, each in value.items() if each is not None or name in MEANT}
    return value


def _is_default(value: Any, default: Any) -> bool:
    return (isinstance(value, type(default)) and value == default) or (_is_number(value) and value == default)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Writes expressions as blocks, and no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """Each value stands where it belongs."""
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> Any:
    is_text = value.replace("\n", "").isprintable()
    is_block = "\n" in value and is_text and not _NO_BLOCK.search(value)
    style = "|" if is_block else None if is_text else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
