"""The request that an endpoint's shape makes of an event, once the lookup and what was captured are known."""

from collections.abc import Mapping
from typing import Any

import msgspec

from relay.domain import envelope, json_text
from relay.domain.masking import cut
from relay.domain.model import Endpoint, StoredEvent
from relay.domain.outcomes import Failure, Outcome
from relay.domain.requests.model import PLAIN, Method
from relay.domain.requests.templates import Unfilled, fill, names_in
from relay.errors import EvaluatorUnavailable, ExpressionFailed
from relay.expressions.evaluator import Evaluator

BODY = "transformation"
PARAMETER = "urlParameters."
LONGEST_WHY = 300
"""Characters of what an attempt shows of an error."""
NULL = b"null"
"""JSON of what there is not."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent for an event."""

    body: bytes
    method: Method
    url: str


class NotSent(Exception):  # noqa: N818 - named for what it says, like relay.errors
    """There is no request: `outcome` says why."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.error or "skipped")
        self.outcome = outcome


async def request_of(
    evaluator: Evaluator, endpoint: Endpoint, body: bytes, known: Mapping[str, bytes], *, found: bytes, captured: bytes
) -> Request:
    """The request for an event, when the result of the lookup and what was captured are known. Raises NotSent."""
    shape = endpoint.request
    url, method = endpoint.dialled_url, shape.method
    if shape.capture is not None and captured != NULL:
        url, method = shape.capture.url or url, shape.capture.method
    wanted = {PARAMETER + name: shape.url_parameters[name] for name in names_in(url) if name in shape.url_parameters}
    if shape.body is not None:
        wanted[BODY] = shape.body
    results: dict[str, bytes | None] = {}
    if wanted:
        results = await evaluated(evaluator, endpoint, wanted, body, {**known, "lookup": found, "captured": captured})
    if shape.body is not None:
        transformed = results[BODY]
        if transformed is None:
            raise NotSent(Outcome(skipped=True))
        body = transformed
    values = {name.removeprefix(PARAMETER): result for name, result in results.items() if name != BODY}
    values |= {"key": known["key"], "lookup": found, "captured": captured}
    return Request(body=body, method=method, url=filled(url, values))


async def evaluated(
    evaluator: Evaluator,
    endpoint: Endpoint,
    expressions: Mapping[str, str],
    data: bytes,
    bindings: Mapping[str, bytes],
) -> dict[str, bytes | None]:
    """The results of an endpoint's expressions. Raises NotSent."""
    try:
        return await evaluator.evaluate(endpoint.id, expressions, data, bindings)
    except ExpressionFailed as error:
        raise NotSent(Outcome(error=Failure.TRANSFORMATION, detail=_why(error))) from error
    except EvaluatorUnavailable as error:
        rest_ms = round(error.wait_s * 1000)
        raise NotSent(Outcome(error=Failure.LOCAL, detail=str(error), rest_ms=rest_ms)) from error


def _why(error: ExpressionFailed) -> str:
    where = "" if error.position is None else f" (at character {error.position})"
    return f"`{error.name}`: {cut(error.message, LONGEST_WHY)}{where}"


def filled(url: str, values: Mapping[str, bytes | None]) -> str:
    """A URL with the values, JSON each, in the places of its placeholders. Raises NotSent."""
    wanted = {name: json_text.decode(values[name] or NULL) for name in names_in(url) if name in values}
    try:
        return fill(url, wanted)
    except Unfilled as error:
        raise NotSent(Outcome(error=Failure.TRANSFORMATION, detail=str(error))) from None


def facts_of(event: StoredEvent, event_type: str, endpoint: Endpoint) -> dict[str, bytes]:
    """What expressions can read besides the event: the JSON of each variable, by name."""
    key = key_of(event)
    about: dict[str, Any] = {"id": event.id, "type": event_type, "key": key}
    encode = json_text.encode
    return {"event": encode(about), "key": encode(key), "variables": encode(endpoint.request.variables)}


def key_of(event: StoredEvent) -> str:
    """The key of the event's row. A posted event is its own: its key is its `eventId`, or else its id."""
    if event.post is not None:
        return event.post.event_id or event.id
    return envelope.row_key(event)


def missed(is_skipped: bool) -> Outcome:
    """What becomes of an event for which the lookup found nothing."""
    if is_skipped:
        return Outcome(skipped=True)
    return Outcome(error=Failure.NO_MATCH, detail="the lookup found nothing")


def is_shaped(endpoint: Endpoint) -> bool:
    """Whether an endpoint's requests are more than plain callbacks."""
    return endpoint.request is not PLAIN and endpoint.request != PLAIN
