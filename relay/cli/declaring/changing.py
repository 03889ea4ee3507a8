"""Makes the changes of a plan, one request after the other. Each one can be made again after a crash."""

from collections.abc import Mapping
from typing import Any

from relay.cli.client.api import Api, path_of
from relay.cli.declaring.planning import Change, Present
from relay.cli.faults import Refusal


def make(api: Api, change: Change, present: Present) -> None:
    """Make one change. Raises Refusal, whose message begins with the object."""
    try:
        match change.kind:
            case "source":
                _change_source(api, change)
            case "application":
                _change_application(api, change)
            case "endpoint":
                _change_endpoint(api, change, present)
    except Refusal as error:
        raise Refusal(f"{change.title}: {error}", status=error.status, code=error.code) from None


def _change_source(api: Api, change: Change) -> None:
    path = path_of("source", change.uid)
    if change.action == "delete":
        api.delete(path)
    elif change.action == "start":
        api.post(f"{path}/resume")
    else:
        api.put(path, change.body)


def _change_application(api: Api, change: Change) -> None:
    path = path_of("app", change.uid)
    if change.action == "create":
        api.put(path, change.body)
    elif change.action == "change":
        api.patch(path, change.body)
    else:
        api.delete(path)


def _change_endpoint(api: Api, change: Change, present: Present) -> None:
    assert change.app is not None  # noqa: S101 - an endpoint has an application
    path = path_of("app", change.app, "endpoint")
    if change.action == "create":
        api.post(path, _with_values(change))
        return
    path = path_of("app", change.app, "endpoint", change.uid)
    if change.action == "delete":
        api.delete(path)
        return
    if body := {name: value for name, value in change.body.items() if name != "headers"}:
        api.patch(path, body)
    if "headers" in change.body:
        api.put(f"{path}/headers", _headers(change.body["headers"] or {}))


def _headers(declared: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in declared.items() if value is not None}
    return {"headers": given, "sensitive": [name for name in declared if name not in given]}


def _with_values(change: Change) -> dict[str, Any]:
    """The body of a new endpoint. Raises Refusal for a header without a value."""
    body = dict(change.body)
    for name, value in (body.get("headers") or {}).items():
        if value is None:
            raise Refusal(f"headers.{name} needs a value, because the relay does not have the endpoint yet")
    return body
