"""What the requests of an endpoint look like, on the wire: see relay.domain.requests."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType, field

from relay.api.schemas.checks import (
    check_answer_expression,
    check_batch_expression,
    check_body_expression,
    check_event_expression,
    check_status,
    check_url_template,
)
from relay.api.schemas.common import In, Out
from relay.api.schemas.endpoint_fields import HeaderName
from relay.domain.requests.model import (
    LARGEST_BATCH,
    Batch,
    Capture,
    Lookup,
    LookupMethod,
    Method,
    OnMiss,
    RequestShape,
    RuledVerdict,
    VerdictRule,
)
from relay.expressions.compiling import LONGEST

RULES_MOST = 32
PARAMETERS_MOST = 16

Expression = Annotated[str, Meta(min_length=1, max_length=LONGEST, extra={"check": check_body_expression})]
EventExpression = Annotated[str, Meta(min_length=1, max_length=LONGEST, extra={"check": check_event_expression})]
AnswerExpression = Annotated[str, Meta(min_length=1, max_length=LONGEST, extra={"check": check_answer_expression})]
BatchExpression = Annotated[str, Meta(min_length=1, max_length=LONGEST, extra={"check": check_batch_expression})]
UrlTemplate = Annotated[str, Meta(min_length=1, max_length=2048, extra={"check": check_url_template})]
ParameterName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z][A-Za-z0-9_]*\Z",
        extra={"form": "must be letters, digits and underscores, and begin with a letter"},
    ),
]
UrlParameters = Annotated[dict[ParameterName, Expression], Meta(max_length=PARAMETERS_MOST)]
LookupParameters = Annotated[dict[ParameterName, EventExpression], Meta(max_length=PARAMETERS_MOST)]
Variables = Annotated[dict[ParameterName, Annotated[str, Meta(max_length=4096)]], Meta(max_length=50)]
Status = Annotated[str, Meta(max_length=3, extra={"check": check_status})]
Pointer = Annotated[
    str,
    Meta(
        max_length=512,
        pattern=r"^(/([^/~]|~[01])*)*\Z",
        extra={"form": "must be a JSON Pointer (RFC 6901), such as `/errors/0/code`"},
    ),
]


class LookupIn(In, frozen=True, kw_only=True):
    """A request that the relay makes before the callback, such as a search for a contact. It goes to the scheme, host
    and port of the endpoint's `url`, with the endpoint's headers and credentials, and without a signature."""

    key: EventExpression
    """An expression for what is looked up, such as a phone number. The relay keeps the result under it. If it is null,
    the relay asks nothing, and there is no match."""
    url: UrlTemplate
    """The URL, with placeholders as in the endpoint's `url`."""
    result: AnswerExpression
    """An expression over the JSON of the answer. The transformation reads its result as `$lookup`. null: no match.
    Answers with the statuses 204 and 404 are no match either."""
    method: LookupMethod = "GET"
    """The method of the request."""
    url_parameters: LookupParameters = field(default_factory=dict)
    """Expressions for the placeholders in `url`, by their names."""
    body: EventExpression | None = None
    """An expression for the JSON body of the request. null: it has none."""
    on_miss: OnMiss = "send"
    """What happens without a match. `send`: the relay sends the event, and `$lookup` is null. `skip`: the event is not
    sent, and the delivery is canceled. `fail`: the delivery fails, and is listed as undelivered."""
    cache_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 300.0
    """How long each worker uses a result again, also if there was no match."""
    rate_limit: Annotated[int, Meta(ge=1, le=65_535)] | None = None
    """The maximum number of lookups per second, over all workers. null: no limit."""


class CaptureIn(In, frozen=True, kw_only=True):
    """What the relay keeps of a successful answer, for the later events of the same row, such as the id of the record
    that a CRM created. It requires `order` to be `fifo`, or `keyed` by `rowId`."""

    value: AnswerExpression
    """An expression over the JSON of the answer. Later events read its result as `$captured`. null: nothing."""
    method: Method = "PATCH"
    """The method for events of a row of which something was captured."""
    url: UrlTemplate | None = None
    """The URL for these events, such as `https://crm.example/calls/{captured}`. null: the endpoint's `url`."""


class VerdictRuleIn(In, frozen=True, kw_only=True):
    """What an answer means."""

    status: Status
    """The status of the answer, such as `409`, or a class of statuses, such as `4xx`."""
    verdict: RuledVerdict
    """`delivered`: the delivery succeeded. `exists`: the receiver has it already, so the delivery succeeded. `later`:
    the relay tries again. `dead`: the delivery failed, and the relay does not try again. `renewToken`: the relay gets a
    new OAuth token and tries again at once, and by its schedule after that. `disable`: the relay disables the
    endpoint."""
    pointer: Pointer | None = None
    """A JSON Pointer into the answer, of which the relay reads 256 KiB. Without `equals`, the rule fits if it leads to
    a value other than null."""
    equals: str | float | bool | UnsetType | None = UNSET
    """The value that `pointer` must lead to."""
    text: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None
    """A text that the answer must contain."""
    delay_seconds: Annotated[float, Meta(ge=0.1, le=86_400)] | None = None
    """Of `later`: when the relay tries again. null: by the retry schedule."""
    delay_header: HeaderName | None = None
    """Of `later`: the header of the answer that has the seconds until the next attempt, or its time. It is used before
    `delaySeconds`."""
    pauses: bool = False
    """Of `later`: whether the whole endpoint waits, as for a quota, and the attempt does not count. false: only this
    event waits, and the attempt counts."""


class BatchIn(In, frozen=True, kw_only=True):
    """Several events in one request. It requires `order` to be `unordered`, a `url` without placeholders, and no
    `capture`."""

    size: Annotated[int, Meta(ge=2, le=LARGEST_BATCH)]
    """The maximum number of events in a request."""
    seconds: Annotated[float, Meta(ge=0, le=60)] = 5.0
    """How long the first event of a request waits for others. 0: it does not wait, so a request has the events that
    wait already."""
    body: BatchExpression | None = None
    """An expression over the array of the bodies of the events. Its result is the JSON body of the request. null: the
    array is the body."""
    failed: BatchExpression | None = None
    """An expression over the JSON of a successful answer. It gives the events that failed: their places in the request,
    from 0, or their ids or keys. The relay retries these. null: all events share the answer."""


Verdicts = Annotated[list[VerdictRuleIn], Meta(max_length=RULES_MOST)]


class LookupOut(Out, frozen=True, kw_only=True):
    """A request that the relay makes before the callback."""

    key: str
    """An expression for what is looked up."""
    url: str
    """The URL, with placeholders."""
    result: str
    """An expression over the JSON of the answer."""
    method: LookupMethod
    """The method of the request."""
    url_parameters: dict[str, str]
    """Expressions for the placeholders in `url`."""
    body: str | None
    """An expression for the JSON body of the request."""
    on_miss: OnMiss
    """What happens without a match."""
    cache_seconds: float
    """How long each worker uses a result again."""
    rate_limit: int | None
    """The maximum number of lookups per second."""


class CaptureOut(Out, frozen=True, kw_only=True):
    """What the relay keeps of a successful answer, for the later events of the same row."""

    value: str
    """An expression over the JSON of the answer."""
    method: Method
    """The method for events of a row of which something was captured."""
    url: str | None
    """The URL for these events. null: the endpoint's `url`."""


class BatchOut(Out, frozen=True, kw_only=True):
    """Several events in one request."""

    size: int
    """The maximum number of events in a request."""
    seconds: float
    """How long the first event of a request waits for others."""
    body: str | None
    """An expression over the array of the bodies of the events. null: the array is the body."""
    failed: str | None
    """An expression over the JSON of a successful answer, for the events that failed."""


class VerdictRuleOut(Out, frozen=True, kw_only=True):
    """What an answer means."""

    status: str
    """The status of the answer, or a class of statuses."""
    verdict: RuledVerdict
    """What the answer means."""
    pointer: str | None
    """A JSON Pointer into the answer."""
    equals: str | float | bool | UnsetType | None = UNSET
    """The value that `pointer` must lead to. Absent: any value other than null."""
    text: str | None
    """A text that the answer must contain."""
    delay_seconds: float | None
    """When the relay tries again."""
    delay_header: str | None
    """The header of the answer that says when the relay tries again."""
    pauses: bool
    """Whether the whole endpoint waits."""


def read_lookup(body: LookupIn | None) -> Lookup | None:
    """A lookup as it is stored."""
    if body is None:
        return None
    return Lookup(
        key=body.key, url=body.url, result=body.result, method=body.method, url_parameters=body.url_parameters,
        body=body.body, on_miss=body.on_miss, cache_s=body.cache_seconds, rate_limit=body.rate_limit,
    )  # fmt: skip


def read_capture(body: CaptureIn | None) -> Capture | None:
    """A capture as it is stored."""
    return None if body is None else Capture(value=body.value, method=body.method, url=body.url)


def read_batch(body: BatchIn | None) -> Batch | None:
    """What batches are, as it is stored."""
    return None if body is None else Batch(size=body.size, wait_s=body.seconds, body=body.body, failed=body.failed)


def read_verdicts(bodies: list[VerdictRuleIn] | None) -> tuple[VerdictRule, ...]:
    """Verdict rules as they are stored."""
    return tuple(
        VerdictRule(
            status=each.status, verdict=each.verdict, pointer=each.pointer, equals=each.equals, text=each.text,
            delay_s=each.delay_seconds, delay_header=each.delay_header, pauses=each.pauses,
        )
        for each in bodies or ()
    )  # fmt: skip


def show_lookup(lookup: Lookup | None) -> LookupOut | None:
    """A lookup as responses show it."""
    if lookup is None:
        return None
    return LookupOut(
        key=lookup.key, url=lookup.url, result=lookup.result, method=lookup.method,
        url_parameters=lookup.url_parameters, body=lookup.body, on_miss=lookup.on_miss, cache_seconds=lookup.cache_s,
        rate_limit=lookup.rate_limit,
    )  # fmt: skip


def show_capture(capture: Capture | None) -> CaptureOut | None:
    """A capture as responses show it."""
    return None if capture is None else CaptureOut(value=capture.value, method=capture.method, url=capture.url)


def show_batch(batch: Batch | None) -> BatchOut | None:
    """What batches are, as responses show it."""
    if batch is None:
        return None
    return BatchOut(size=batch.size, seconds=batch.wait_s, body=batch.body, failed=batch.failed)


def show_verdicts(rules: tuple[VerdictRule, ...]) -> list[VerdictRuleOut]:
    """Verdict rules as responses show them."""
    return [
        VerdictRuleOut(
            status=rule.status, verdict=rule.verdict, pointer=rule.pointer, equals=rule.equals, text=rule.text,
            delay_seconds=rule.delay_s, delay_header=rule.delay_header, pauses=rule.pauses,
        )
        for rule in rules
    ]  # fmt: skip


def shown_shape(shape: RequestShape) -> dict[str, Any]:
    """What requests look like, as the fields of an endpoint that responses show, by their names."""
    return {
        "method": shape.method, "url_parameters": shape.url_parameters, "transformation": shape.transformation,
        "transformation_enabled": shape.transformation_enabled, "variables": shape.variables,
        "lookup": show_lookup(shape.lookup), "capture": show_capture(shape.capture),
        "verdicts": show_verdicts(shape.verdicts), "batch": show_batch(shape.batch),
    }  # fmt: skip
