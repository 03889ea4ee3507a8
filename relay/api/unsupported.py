"""Operations of Svix's API that the relay does not have. Each is answered 501, with what to use instead."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, NamedTuple

from litestar import Response
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from relay.api.access import NOTHING
from relay.api.problems import problem

ENDPOINT = "/app/{app_id}/endpoint/{endpoint_id}"
DESTINATION = "/app/{app_id}/destination"
STREAM = "/stream"
SINK = STREAM + "/{stream_id}/sink/{sink_id}"
INGEST = "/source"
INGEST_ENDPOINT = INGEST + "/{source_id}/endpoint/{endpoint_id}"

DESTINATIONS = "The relay has no destinations. Use an endpoint of the application."
ENVIRONMENTS = "The relay has no environments. Use GET and PUT of sources, applications and endpoints."
PRECHECK = (
    "The relay keeps a posted message even if no endpoint receives it. Post it with POST /api/v1/app/{app_id}/msg."
)
EXPUNGING = (
    "The relay removes the content of one message at a time: DELETE /api/v1/app/{app_id}/msg/{msg_id}/content. "
    "RELAY_RETENTION_SECONDS bounds how long it keeps the others."
)
INGESTING = "The relay receives no webhooks of others. It polls sources: PUT /api/v1/source/{uid}."
INTEGRATIONS = "The relay has no connectors and no integrations. Use an endpoint, which can have a filter."
STREAMS = "The relay has no streams. Use an endpoint of an application. Its type can be `poller`."
SUBSCRIBED = "The relay has no subscriptions that endpoints configure by themselves. Create an endpoint."


class Unsupported(NamedTuple):
    """Some operations on one path."""

    methods: str
    """HTTP methods, separated by spaces."""
    path: str
    instead: str


UNSUPPORTED = (
    Unsupported("POST", "/app/{app_id}/msg/precheck/active", PRECHECK),
    Unsupported("DELETE", "/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}/content", EXPUNGING),
    Unsupported("POST", "/app/{app_id}/msg/bulk-expunge", EXPUNGING),
    Unsupported("POST", "/app/{app_id}/msg/expunge-all-contents", EXPUNGING),
    Unsupported("GET POST", "/connector", INTEGRATIONS),
    Unsupported("GET PUT PATCH DELETE", "/connector/{connector_id}", INTEGRATIONS),
    Unsupported("GET POST", "/app/{app_id}/integration", INTEGRATIONS),
    Unsupported("GET PUT DELETE", "/app/{app_id}/integration/{integ_id}", INTEGRATIONS),
    Unsupported("POST", "/app/{app_id}/integration/{integ_id}/key/rotate", INTEGRATIONS),
    Unsupported("POST", "/app/{app_id}/autoconfig", SUBSCRIBED),
    Unsupported("DELETE", "/app/{app_id}/autoconfig/{autoconfig_id}", SUBSCRIBED),
    Unsupported("POST", "/app/{app_id}/autoconfig/{autoconfig_id}/rotate", SUBSCRIBED),
    Unsupported("GET POST", DESTINATION, DESTINATIONS),
    Unsupported("GET PUT PATCH DELETE", DESTINATION + "/{destination_id}", DESTINATIONS),
    Unsupported("POST", DESTINATION + "/{destination_id}/secret/rotate", DESTINATIONS),
    Unsupported("GET PATCH", DESTINATION + "/{destination_id}/transformation", DESTINATIONS),
    Unsupported("POST", "/environment/export", ENVIRONMENTS),
    Unsupported("POST", "/environment/import", ENVIRONMENTS),
    Unsupported("POST", "/auth/stream-portal-access/{stream_id}", STREAMS),
    Unsupported("POST", "/auth/stream-logout", STREAMS),
    Unsupported("POST", "/auth/stream/{stream_id}/expire-all", STREAMS),
    Unsupported("GET", "/auth/stream/{stream_id}/sink/{sink_id}/poller/token", STREAMS),
    Unsupported("POST", "/auth/stream/{stream_id}/sink/{sink_id}/poller/token/rotate", STREAMS),
    Unsupported("GET POST", STREAM, STREAMS),
    Unsupported("GET PUT PATCH DELETE", STREAM + "/{stream_id}", STREAMS),
    Unsupported("POST", STREAM + "/{stream_id}/events", STREAMS),
    Unsupported("GET POST", STREAM + "/{stream_id}/sink", STREAMS),
    Unsupported("GET PUT PATCH DELETE", SINK, STREAMS),
    Unsupported("GET", SINK + "/events", STREAMS),
    Unsupported("GET PATCH", SINK + "/headers", STREAMS),
    Unsupported("GET", SINK + "/secret", STREAMS),
    Unsupported("POST", SINK + "/secret/rotate", STREAMS),
    Unsupported("GET PATCH", SINK + "/transformation", STREAMS),
    Unsupported("GET POST", STREAM + "/event-type", STREAMS),
    Unsupported("GET PUT PATCH DELETE", STREAM + "/event-type/{name}", STREAMS),
)
"""The operations of Svix's clients below `/api/v1` that are not the relay's."""

INGEST_UNSUPPORTED = (
    Unsupported("GET POST", INGEST, INGESTING),
    Unsupported("GET PUT DELETE", INGEST + "/{source_id}", INGESTING),
    Unsupported("POST", INGEST + "/{source_id}/dashboard", INGESTING),
    Unsupported("POST", INGEST + "/{source_id}/token/rotate", INGESTING),
    Unsupported("GET POST", INGEST + "/{source_id}/endpoint", INGESTING),
    Unsupported("GET PUT DELETE", INGEST_ENDPOINT, INGESTING),
    Unsupported("GET PUT", INGEST_ENDPOINT + "/headers", INGESTING),
    Unsupported("GET", INGEST_ENDPOINT + "/secret", INGESTING),
    Unsupported("POST", INGEST_ENDPOINT + "/secret/rotate", INGESTING),
    Unsupported("GET PATCH", INGEST_ENDPOINT + "/transformation", INGESTING),
)
"""Those below `/ingest/api/v1`."""


def handlers(operations: Iterable[Unsupported]) -> list[HTTPRouteHandler]:
    """One handler for each path. They are not in the OpenAPI document, which lists what works."""
    return [_handler(each) for each in operations]


def _handler(each: Unsupported) -> HTTPRouteHandler:
    async def answer() -> Response[dict[str, Any]]:
        return problem(HTTPStatus.NOT_IMPLEMENTED, "not_supported", each.instead)

    methods = [HttpMethod(method) for method in each.methods.split()]
    path = each.path.replace("}", ":str}")
    return HTTPRouteHandler(path, http_method=methods, include_in_schema=False, status_code=501, opt=NOTHING)(answer)
