"""Descriptions of parameters in the OpenAPI document, by name: a name means the same in every operation."""

from typing import Any

DESCRIPTIONS = {
    "uid": "The uid of a source",
    "route": "The name of a route of the source",
    "backfill_id": "The id of a backfill",
    "sink_id": "The id or uid of an endpoint",
    "consumer_id": "Your own name for the consumer",
    "reconciliation_id": "The id of a reconciliation",
    "task_id": "The id of a background task",
    "erasure_id": "The id of an erasure, which is the id of its background task",
    "app_id": "The id or uid of an application",
    "endpoint_id": "The id or uid of an endpoint",
    "msg_id": "The id of a message, or the `eventId` of a posted one",
    "attempt_id": "The id of an attempt",
    "key_id": "The id of an API key",
    "recipe": "The name of a recipe, such as `hubspot-call`",
    "name": "The name of an event type, such as `call.created`",
    "event_types": "Only objects of these event types. Repeat the parameter, or separate the names with commas",
    "before": "Only objects from before this time (RFC 3339)",
    "after": "Only objects from after this time (RFC 3339)",
    "since": "The beginning of the range of time (RFC 3339)",
    "until": "The end of the range of time (RFC 3339)",
    "with_content": "Include the payloads",
    "with_msg": "Include the message of each attempt",
    "expanded_statuses": "Sent by Svix's clients. It has no effect: statuses are always complete",
    "app": "Only objects of this application: its id or uid",
    "endpoint": "Only objects of this endpoint: its id",
    "source": "Only objects of this source: its uid",
    "state": "Only objects in this state",
    "principal": "Only changes that this API key made: its id, or `admin`",
    "object": "Only changes of this object: its kind and id, such as `endpoint/ep_…`",
    "action": "Only changes of this kind, such as `endpoint.update`",
}


def describe_parameter(parameter: dict[str, Any]) -> None:
    """Add the description, unless the operation says more."""
    if not parameter.get("description") and (text := DESCRIPTIONS.get(parameter["name"])):
        parameter["description"] = text
