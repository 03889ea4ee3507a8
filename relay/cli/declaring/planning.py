"""What has to be done so that the relay has what a file declares. Pure: nothing is asked or changed here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from relay.cli.declaring.document import Document
from relay.cli.declaring.shapes import APPLICATION, ENDPOINT, SOURCE, WRITTEN_ONCE, Shape, hides_secret

Action = Literal["create", "change", "start", "delete"]
"""`start`: a source that has never polled begins to."""
KEPT = ("name", "baseUrl", "version", "igrp", "routes", "pollIntervalSeconds", "batchSize", "startRowId")
"""The settings of a source that a PUT replaces: those that are not declared are sent back as they are."""


@dataclass(frozen=True, kw_only=True)
class Present:
    """What the relay has, as the API shows it, by uid."""

    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    applications: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    endpoints: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    """By the uid of the application. Each has `headers`, in which the values of sensitive ones are null."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A field that differs. `before` is null for a new object."""

    name: str
    before: Any
    after: Any
    again: bool = False
    """Nothing differs that can be seen: a secret is sent again."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One object that has to be created, changed or deleted."""

    action: Action
    kind: Literal["source", "application", "endpoint"]
    uid: str
    app: str | None = None
    """The uid of the endpoint's application."""
    differences: tuple[Difference, ...] = ()
    body: Mapping[str, Any] = field(default_factory=dict)
    """What is sent. It has secrets."""
    url_is_secret: bool = False
    """The URL of the endpoint must not be printed."""

    @property
    def title(self) -> str:
        """How people call the object."""
        return f"{self.kind} {self.app}/{self.uid}" if self.app else f"{self.kind} {self.uid}"


def plan(document: Document, present: Present, *, prune: bool = False, secrets: bool = False) -> list[Change]:
    """The changes, in the order in which they must be made.

    Sources come first, because an application can name only sources that exist. A new one is paused until its
    subscribers exist. A run that dies before it starts the source is completed by the next one: a source that has never
    polled is started, unless it is declared to be paused. Deletions come last. `secrets`: declared secrets are sent
    again, because nobody can see whether they differ. Fields that are not declared stay as they are.
    """
    changes = [
        *_of_kind("source", SOURCE, document.sources, present.sources, secrets=secrets),
        *_of_kind("application", APPLICATION, document.applications, present.applications, secrets=secrets),
        *(
            change
            for app, declared in document.endpoints.items()
            for change in _of_kind(
                "endpoint",
                ENDPOINT,
                declared,
                present.endpoints.get(app, {}),
                app=app,
                compared={uid: document.compared_with(app, uid) for uid in declared},
                secrets=secrets,
            )
        ),
        *_starts(document.sources or {}, present.sources),
    ]
    return changes + (list(_deletions(document, present)) if prune else [])


def _of_kind(
    kind: Literal["source", "application", "endpoint"],
    shape: Shape,
    declared: Mapping[str, Mapping[str, Any]] | None,
    present: Mapping[str, Mapping[str, Any]],
    *,
    secrets: bool,
    app: str | None = None,
    compared: Mapping[str, Mapping[str, Any]] | None = None,
) -> Iterator[Change]:
    """`compared`: what existing objects are compared with, if that is not what is declared."""
    for uid, body in (declared or {}).items():
        shown, whole = present.get(uid), (compared or {}).get(uid, body)
        is_secret = bool(whole.get("urlIsSecret", (shown or {}).get("urlIsSecret")))
        if shown is None:
            yield _creation(kind, uid, body, app, url_is_secret=is_secret)
        elif differences := tuple(_differences(shape, whole, shown, secrets=secrets)):
            sent = {each.name: each.after for each in differences}
            if kind == "source":
                sent = {name: shown[name] for name in KEPT} | sent
            yield Change(
                action="change",
                kind=kind,
                uid=uid,
                app=app,
                differences=differences,
                body=sent,
                url_is_secret=is_secret,
            )


def _creation(
    kind: Literal["source", "application", "endpoint"],
    uid: str,
    body: Mapping[str, Any],
    app: str | None,
    *,
    url_is_secret: bool,
) -> Change:
    differences = tuple(Difference(name=name, before=None, after=value) for name, value in body.items())
    sent = dict(body)
    if kind == "endpoint":
        sent["uid"] = uid
    elif kind == "application":
        sent.setdefault("name", uid)
    else:
        sent.setdefault("paused", True)
    return Change(
        action="create", kind=kind, uid=uid, app=app, differences=differences, body=sent, url_is_secret=url_is_secret
    )


def _starts(declared: Mapping[str, Mapping[str, Any]], present: Mapping[str, Mapping[str, Any]]) -> Iterator[Change]:
    for uid, body in declared.items():
        shown = present.get(uid)
        if "paused" not in body and (shown is None or (shown["paused"] and not _has_polled(shown))):
            yield Change(action="start", kind="source", uid=uid)


def _has_polled(shown: Mapping[str, Any]) -> bool:
    return any(state["lastPollAt"] or state["cursor"] is not None for state in shown["routeStates"].values())


def of_recipe(body: Mapping[str, Any], made: Mapping[str, Any]) -> dict[str, Any]:
    """A declared endpoint with what its recipe makes of it. Its own fields replace those of the recipe.

    Raises Misused if this release does not know a field of the recipe.
    """
    own = {name: value for name, value in body.items() if name not in WRITTEN_ONCE}
    return {**ENDPOINT.checked(dict(made), "recipe", f"recipe {body['recipe']}"), **own}


def _differences(
    shape: Shape, whole: Mapping[str, Any], shown: Mapping[str, Any], *, secrets: bool
) -> Iterator[Difference]:
    for name, value in whole.items():
        if not shape.is_same(name, value, shown):
            yield Difference(name=name, before=shown.get(name), after=value)
        elif secrets and hides_secret(name, value, {**shown, **whole}):
            yield Difference(name=name, before=shown.get(name), after=value, again=True)


def _deletions(document: Document, present: Present) -> Iterator[Change]:
    """What has a uid and is not declared, in the sections that the file has."""
    for app, declared in document.endpoints.items():
        for uid in present.endpoints.get(app, {}):
            if uid not in declared:
                yield Change(action="delete", kind="endpoint", uid=uid, app=app)
    if document.applications is not None:
        for uid in present.applications:
            if uid not in document.applications:
                yield Change(action="delete", kind="application", uid=uid)
    if document.sources is not None:
        for uid in present.sources:
            if uid not in document.sources:
                yield Change(action="delete", kind="source", uid=uid)
