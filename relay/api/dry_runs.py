"""Dry runs of transformations: the event that is meant, and the request that would be sent for it."""

from typing import Any

import msgspec
from msgspec import UNSET

from relay.api.schemas.transformations import DryRunErrorOut, DryRunIn, DryRunOut
from relay.api.sending_examples import example_body
from relay.api.visibility import find_event
from relay.domain import json_text
from relay.domain.batching import batch_id
from relay.domain.envelope import is_expunged, type_name
from relay.domain.headers import is_sensitive
from relay.domain.masking import HIDDEN
from relay.domain.model import Application, Endpoint, SourceUid, StoredEvent
from relay.domain.parsing import Row, parse_line
from relay.domain.readers import privacy_of, protected
from relay.domain.samples import sample_of_row, sample_of_type
from relay.domain.secret_urls import masked
from relay.domain.wanting import Setting, unwanted_by
from relay.errors import Conflict, ExpressionFailed, Fault, Invalid, StoreUnavailable
from relay.expressions.evaluator import Evaluator
from relay.outbound.authentication import shown_header
from relay.pipeline.dispatch.batching import Member, together
from relay.pipeline.dispatch.shaping import NULL, NotSent, Request, facts_of, request_of
from relay.wiring import USER_AGENT, Stores

DEFAULT_TYPE = "call.created"
EXAMPLE_SOURCE = SourceUid("example")
MACHINE_BUSY = "the expression could not be evaluated, because this machine is busy: try again"


async def event_of(
    body: DryRunIn, application: Application, endpoint: Endpoint, stores: Stores, *, now_ms: int
) -> StoredEvent:
    """The event that a dry run is about. Raises Invalid, NotFound, or Conflict if its content was expunged."""
    if body.message is not UNSET:
        event = (await find_event(application, body.message, stores)).value
        if is_expunged(event):
            raise Conflict(f"the content of message {body.message} was expunged, so the relay cannot send it")
        return event
    if body.row is not UNSET:
        return _of_row(body.row, application, now_ms=now_ms)
    event_type = DEFAULT_TYPE if body.event_type is UNSET else body.event_type
    return sample_of_type(event_type, await example_body(stores, event_type, application), now_ms=now_ms)


async def tried(
    endpoint: Endpoint, application: Application, event: StoredEvent, body: DryRunIn, evaluator: Evaluator, *,
    now_ms: int,
) -> DryRunOut:  # fmt: skip
    """What would be sent for an event. Raises StoreUnavailable if no process can evaluate the expressions now."""
    code = next((code for code in event.types if _wants(endpoint, event, code)), event.types[0])
    content = protected(event, code, privacy_of(application, endpoint))
    known, unwanted = facts_of(event, type_name(event, code), endpoint), _unwanted(application, endpoint, event)
    try:
        request = await request_of(
            evaluator, endpoint, content, known, found=_json(body.lookup), captured=_json(body.captured)
        )
        if endpoint.request.batch is not None:
            alone = Member(event, type_name(event, code), content)
            request = msgspec.structs.replace(
                request, body=await together(evaluator, endpoint, [alone], [request.body])
            )
    except NotSent as not_sent:
        return _not_sent(not_sent, unwanted)
    return _shown(endpoint, event, request, unwanted, now_ms=now_ms)


def _of_row(row: dict[str, Any], application: Application, *, now_ms: int) -> StoredEvent:
    parsed = parse_line(json_text.encode(row))
    if not isinstance(parsed, Row):
        raise Invalid(Fault(("body", "row"), f"cannot be read: {getattr(parsed, 'reason', 'it is not a row')}"))
    igrp = str(row.get("igrp", ""))
    source = application.sources[0] if application.sources else EXAMPLE_SOURCE
    number = int(igrp) if igrp.isascii() and igrp.isdecimal() and len(igrp) <= 18 else 0
    return sample_of_row(parsed.columns, source=source, igrp=number, row_id=parsed.row_id, now_ms=now_ms)


def _wants(endpoint: Endpoint, event: StoredEvent, code: int) -> bool:
    return endpoint.event_types is None or type_name(event, code) in endpoint.event_types


def _unwanted(application: Application, endpoint: Endpoint, event: StoredEvent) -> Setting | None:
    try:
        return unwanted_by(application, endpoint, event)
    except Invalid:  # A filter of another release: the endpoint is unfit, and says so itself.
        return None


def _json(value: Any) -> bytes:
    return NULL if value is None else json_text.encode(value)


def _not_sent(not_sent: NotSent, unwanted: Setting | None) -> DryRunOut:
    outcome, cause = not_sent.outcome, not_sent.__cause__
    if not outcome.skipped and not outcome.is_final:
        raise StoreUnavailable(MACHINE_BUSY)
    error = None
    if isinstance(cause, ExpressionFailed):
        error = DryRunErrorOut(expression=cause.name, message=cause.message, position=cause.position)
    elif not outcome.skipped:
        error = DryRunErrorOut(expression=None, message=outcome.detail, position=None)
    return DryRunOut(
        skipped=outcome.skipped, method=None, url=None, headers=None, body=None, error=error, unwanted=unwanted
    )


def _shown(
    endpoint: Endpoint, event: StoredEvent, request: Request, unwanted: Setting | None, *, now_ms: int
) -> DryRunOut:
    headers = {"content-type": "application/json", "user-agent": USER_AGENT}
    headers |= {name.lower(): HIDDEN if is_sensitive(name) else value for name, value in endpoint.headers.items()}
    if (credentials := shown_header(endpoint.auth, HIDDEN)) is not None:
        headers |= {credentials[0]: credentials[1]}
    name = event.id if endpoint.request.batch is None else batch_id([event.id])
    headers |= {
        "webhook-id": name,
        "webhook-timestamp": str(now_ms // 1000),
        # A signature of whatever somebody sends here would be taken for a genuine callback.
        "webhook-signature": HIDDEN,
        "idempotency-key": name,
    }
    url = request.url if endpoint.secret_url is None else masked(request.url)
    return DryRunOut(
        skipped=False, method=request.method, url=url, headers=headers, body=msgspec.Raw(request.body),
        error=None, unwanted=unwanted,
    )  # fmt: skip
