"""Generated declarations, and a relay that carries plans out in memory: it shows objects as the API does."""

import copy
from typing import Any

from hypothesis import strategies as st

from relay.cli.declaring.document import Document
from relay.cli.declaring.exporting import ENDPOINT_DEFAULTS, SOURCE_DEFAULTS
from relay.cli.declaring.hiding import AUTH_SECRETS
from relay.cli.declaring.planning import Change, Present
from relay.domain.headers import is_sensitive
from relay.domain.secret_urls import HIDDEN_PATH, masked

UIDS = st.sampled_from(["a", "b.c", "d-1"])
TEXTS = st.text("ab ${}A\n\"'#:é", max_size=12)
FILTERS = st.none() | st.dictionaries(
    st.sampled_from(["act", "callDuration"]), st.fixed_dictionaries({"$gt": st.integers(0, 9)})
)
METADATA = st.dictionaries(st.sampled_from(["x", "y"]), TEXTS, max_size=2)
RATES = st.lists(st.fixed_dictionaries({"limit": st.integers(1, 9), "seconds": st.integers(1, 9)}), max_size=2)
AUTH = st.none() | st.sampled_from(
    [
        {"type": "basic", "username": "u", "password": "p" * 12},
        {"type": "bearer", "token": "t" * 12},
        {"type": "apiKey", "in": "header", "name": "x-key", "value": "v" * 12},
        {"type": "oauth2", "tokenUrl": "https://crm.example/t", "clientId": "c", "clientSecret": "s" * 12},
    ]
)
VERDICTS = st.lists(
    st.fixed_dictionaries(
        {"status": st.sampled_from(["409", "4xx"]), "verdict": st.sampled_from(["later", "dead"])},
        optional={"delaySeconds": st.integers(1, 9), "equals": st.none() | st.just("x"), "pointer": st.just("/a")},
    ),
    max_size=2,
)
HEADERS = st.dictionaries(st.sampled_from(["X-Team", "X-Api-Key", "Authorization"]), st.just("w" * 12), max_size=3)
SECRET_URL = st.sampled_from(["https://hooks.example/one/abcdefghijkl", "https://hooks.example/two/abcdefghijkl"])
ENDPOINTS = st.fixed_dictionaries(
    {},
    optional={
        "url": SECRET_URL, "urlIsSecret": st.booleans(), "description": TEXTS,
        "throttleRate": st.none() | st.integers(1, 9),
        "eventTypes": st.none() | st.lists(st.sampled_from(["call.created", "goal.created"]), min_size=1, unique=True),
        "filter": FILTERS, "metadata": METADATA, "auth": AUTH, "verdicts": VERDICTS, "headers": HEADERS, "rates": RATES,
        "retrySchedule": st.none() | st.lists(st.integers(1, 9), max_size=2), "paused": st.booleans(),
        "disabled": st.booleans(), "maxInFlight": st.integers(1, 99),
        "transformation": st.none() | st.just("(\n  data\n)"),
        "secret": st.just("whsec_" + "QUFB" * 8), "signatures": st.sampled_from([["v1"], ["v1a", "v1"]]),
        "lookup": st.none() | st.just({"key": "data", "url": "https://crm.example/x", "result": "id"}),
    },
)  # fmt: skip
SOURCES = st.fixed_dictionaries(
    {"baseUrl": st.sampled_from(["https://x.example", "https://x.example/"]), "igrp": st.integers(1, 9)},
    optional={
        "name": st.sampled_from(["N", "M"]), "paused": st.booleans(),
        "batchSize": st.integers(1, 9), "startRowId": st.none() | st.integers(0, 1),
        "pollIntervalSeconds": st.sampled_from([1, 2.5, 60]),
    },
).map(lambda source: {"auth": {"type": "apiKey", "key": "k" * 12}, "routes": ["all"], **source})  # fmt: skip
APPLICATIONS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["N", "M"]), "sources": st.none() | st.lists(UIDS, unique=True), "filter": FILTERS,
        "metadata": METADATA, "throttleRate": st.none() | st.integers(1, 9),
        "privacy": st.none() | st.lists(st.just({"field": "srcPhoneNumber", "action": "mask"}), max_size=2),
        "budgets": st.dictionaries(st.just("b"), st.fixed_dictionaries({}, optional={"rates": RATES}), max_size=1),
        "endpoints": st.dictionaries(UIDS, ENDPOINTS, max_size=2),
    },
)  # fmt: skip
FILES = st.fixed_dictionaries(
    {},
    optional={
        "sources": st.dictionaries(UIDS, SOURCES, max_size=2),
        "applications": st.dictionaries(UIDS, APPLICATIONS, max_size=2),
    },
)
APPLICATION_DEFAULTS: dict[str, Any] = {
    "throttleRate": None, "budgets": {}, "metadata": {}, "sources": None, "filter": None, "privacy": [],
}  # fmt: skip
EMPTY = {"description": "", "metadata": {}, "privacy": [], "verdicts": [], "rates": [], "headers": {}, "budgets": {}}


def carried_out(changes: list[Change], present: Present) -> Present:
    """What the relay has after a plan."""
    sources, applications, endpoints = (
        copy.deepcopy(dict(part)) for part in (present.sources, present.applications, present.endpoints)
    )
    for change in changes:
        kind: dict[str, Any] = {"source": sources, "application": applications, "endpoint": {}}[change.kind]
        if change.app is not None:
            kind = endpoints.setdefault(change.app, {})
        if change.action == "delete":
            del kind[change.uid]
            if change.kind == "application":
                endpoints.pop(change.uid, None)
        elif change.action == "start":
            kind[change.uid]["paused"] = False
        else:
            kind[change.uid] = shown(change, kind.get(change.uid))
    return Present(
        sources=sources, applications=applications, endpoints={a: endpoints.get(a, {}) for a in applications}
    )


def shown(change: Change, before: dict[str, Any] | None) -> dict[str, Any]:
    """An object after a change, as the API shows it."""
    defaults = {
        "source": {**SOURCE_DEFAULTS, "name": change.uid, "routeStates": {"all": {"lastPollAt": None, "cursor": None}}},
        "application": APPLICATION_DEFAULTS,
        "endpoint": ENDPOINT_DEFAULTS,
    }[change.kind]
    after = copy.deepcopy({**defaults, **(before or {}), "uid": change.uid, "id": change.uid})
    if before and change.kind == "source":
        # A PUT replaces what it does not have with defaults, but for these.
        after |= {name: value for name, value in defaults.items() if name not in ("paused", "routeStates")}
    for name, value in change.body.items():
        if name not in ("secret", "uid"):
            after[name] = visible(name, EMPTY.get(name) if value is None else value, before)
    if change.kind == "source":
        after["baseUrl"] = after["baseUrl"].rstrip("/")
    if after.get("urlIsSecret") and after["url"] and not after["url"].endswith(HIDDEN_PATH):
        after["url"] = masked(after["url"])
    return {name: None if value == {} and name == "filter" else value for name, value in after.items()}


def visible(name: str, value: Any, before: dict[str, Any] | None) -> Any:
    """A field without what responses hide."""
    if name == "auth" and value:
        return {key: each for key, each in value.items() if key not in AUTH_SECRETS}
    if name == "headers":
        return {key: None if is_sensitive(key) else each for key, each in value.items()}
    return copy.deepcopy(value)


def declares(document: Document) -> bool:
    """Whether a file has any section."""
    return document.sources is not None or document.applications is not None
