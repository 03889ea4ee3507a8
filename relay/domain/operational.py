"""Operational webhooks: callbacks to the operator that report what the relay does."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from relay.domain.envelope import rfc3339
from relay.domain.identity import id_of_attempt
from relay.domain.model import Application, ApplicationId, Attempt, Endpoint, EndpointId, StoredEvent
from relay.domain.references import Reference

OPERATIONAL = ApplicationId("app_operational")
"""The application of operational endpoints. The relay creates it with the first of them, and nobody can change it."""
ENDPOINTS_MOST = 50
"""Operational endpoints that there can be."""
EXHAUSTED, FAILING, RECOVERED = (
    "message.attempt.exhausted",
    "message.attempt.failing",
    "message.attempt.recovered",
)
ABOUT_ATTEMPTS = frozenset({EXHAUSTED, FAILING, RECOVERED})
FAILING_AT = 4
"""A message is reported as failing at this failure, as in Svix."""

Event = tuple[str, Mapping[str, Any]]
"""An operational event: its type and its data."""


def operational_application(*, token_key: str = "", now_ms: int = 0) -> Application:
    """The application of operational endpoints, which gets the rows of no source."""
    return Application(
        id=OPERATIONAL,
        name="Operational webhooks",
        sources=(),
        token_key=token_key,
        posts=True,
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
    )


def operational_body(kind: str, at_ms: int, data: Mapping[str, Any]) -> bytes:
    """The payload, in Svix's shape of an operational webhook. `timestamp` is when the relay noted the event.

    >>> operational_body("endpoint.disabled", 0, {"endpointId": "ep_1"})
    b'{"type":"endpoint.disabled","timestamp":"1970-01-01T00:00:00.000Z","data":{"endpointId":"ep_1"}}'
    """
    return msgspec.json.encode({"type": kind, "timestamp": rfc3339(at_ms), "data": data})


def is_about(data: Mapping[str, Any], application: ApplicationId) -> bool:
    """Whether an operational event is about an application, or an endpoint of it.

    >>> is_about({"appId": "app_1", "endpointId": "ep_1"}, ApplicationId("app_1"))
    True
    """
    return data.get("appId") == application


def wanted_types(endpoints: Iterable[Endpoint]) -> frozenset[str] | None:
    """The operational events about attempts that operational endpoints select. None: there are no such endpoints."""
    own = [each for each in endpoints if each.app_id == OPERATIONAL]
    if not own:
        return None
    return frozenset(t for t in ABOUT_ATTEMPTS if any(e.event_types is None or t in e.event_types for e in own))


def ids_of_endpoint(endpoint: Endpoint) -> dict[str, Any]:
    """How operational events name an endpoint, in Svix's shape. `appUid` is added when they are posted."""
    return {"appId": endpoint.app_id, "endpointId": endpoint.id, "endpointUid": endpoint.uid}


def endpoint_events(before: Endpoint | None, after: Endpoint | None) -> list[Event]:
    """The operational events of a change that was made through the API. None: the endpoint does not exist.

    The application's own endpoints have none, because each callback about them could cause the next.
    """
    endpoint = after or before
    if endpoint is None or endpoint.app_id == OPERATIONAL:
        return []
    ids = ids_of_endpoint(endpoint)
    if after is None:
        return [("endpoint.deleted", ids)]
    events: list[Event] = [("endpoint.updated" if before else "endpoint.created", ids)]
    was_disabled = before is not None and before.disabled
    if after.disabled and not was_disabled:
        events.append(("endpoint.disabled", disabled_data(after, reason=after.disabled_reason or "", is_manual=True)))
    elif was_disabled and not after.disabled:
        events.append(("endpoint.enabled", ids))
    return events


def disabled_data(
    endpoint: Endpoint, *, reason: str, is_manual: bool = False, failing_since_ms: int = 0
) -> dict[str, Any]:
    """The data of `endpoint.disabled`. `reason` is the relay's own addition to Svix's shape."""
    return {
        **ids_of_endpoint(endpoint),
        "failSince": rfc3339(failing_since_ms) if failing_since_ms else None,
        "trigger": "manual" if is_manual else "automatic",
        "reason": reason,
    }


def attempt_event(attempt: Attempt, event: StoredEvent, app_id: ApplicationId, *, uses_try: bool) -> Event | None:
    """The operational event that an attempt causes; None: it causes none.

    As in Svix: the fourth failure of a message, the last one, and the success after either. `uses_try` says whether
    the attempt counts among those of the schedule. What somebody sent again by hand begins at its first attempt.
    """
    if attempt.verdict == "dead":
        kind = EXHAUSTED
    elif attempt.verdict == "retry" and uses_try and attempt.number == FAILING_AT:
        kind = FAILING
    elif attempt.verdict == "delivered" and attempt.number > FAILING_AT:
        kind = RECOVERED
    else:
        return None
    if app_id == OPERATIONAL:
        return None
    return kind, _attempt_data(attempt, event, app_id)


def poison_data(endpoint: Endpoint, reference: Reference, event: StoredEvent, *, at_ms: int) -> dict[str, Any]:
    """The data of EXHAUSTED for a delivery that is poison: no attempt of the last ones was recorded, so it has none."""
    attempt = Attempt(endpoint.id, reference.number, reference.attempt, reference.type_code, at_ms, 0, 0, "dead")
    return _attempt_data(attempt, event, endpoint.app_id) | {"reason": "poison"}


def _attempt_data(attempt: Attempt, event: StoredEvent, app_id: ApplicationId) -> dict[str, Any]:
    return {
        "appId": app_id,
        "endpointId": EndpointId(attempt.endpoint_id),
        "lastAttempt": {
            "id": id_of_attempt(attempt, event.id),
            "responseStatusCode": attempt.status,
            "timestamp": rfc3339(attempt.started_at_ms),
        },
        "msgEventId": event.post.event_id if event.post else None,
        "msgId": event.id,
    }
