"""The callback that tells an operator of an operational event."""

from collections.abc import Mapping
from typing import Any

import msgspec

from relay.domain.envelope import rfc3339
from relay.domain.model import ApplicationId


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
