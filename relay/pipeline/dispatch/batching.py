"""Batches: composes one request of several events, sends it, and finds out what its answer says of each."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from relay.concurrency import all_of
from relay.domain import json_text
from relay.domain.batching import Unnamed, batch_id, joined, named, with_id
from relay.domain.masking import cut
from relay.domain.model import Endpoint, StoredEvent
from relay.domain.outcomes import Failure, Outcome
from relay.domain.sending.gathering import MOST_BYTES
from relay.errors import EvaluatorUnavailable, ExpressionFailed, StoreUnavailable
from relay.expressions.evaluator import Evaluator
from relay.outbound.callbacks import Callback, CallbackSender
from relay.outbound.preparing import PreparedEndpoint
from relay.pipeline.clock import Clock
from relay.pipeline.dispatch.composing import Composing
from relay.pipeline.dispatch.shaping import LONGEST_WHY, NotSent, Request, evaluated, facts_of

BODY, FAILED = "batch.body", "batch.failed"
AT_ONCE = 4
"""Events of one batch that are composed at a time: an endpoint can have many batches in flight."""
LEAST_S = 0.1
"""A request that was composed just in time gets so long at least."""
THIS_ONE = "the answer names this event among those that failed"


class Member(NamedTuple):
    """One event of a batch."""

    event: StoredEvent
    event_type: str
    body: bytes
    """As the endpoint may have it."""


class Batching:
    """Sends batches."""

    def __init__(self, *, composing: Composing, evaluator: Evaluator, sender: CallbackSender, clock: Clock) -> None:
        self._composing, self._evaluator, self._sender, self._clock = composing, evaluator, sender, clock

    async def send(
        self, endpoint: Endpoint, prepared: PreparedEndpoint, members: Sequence[Member], *, traceparent: str = "",
        deadline_s: float,
    ) -> list[Outcome | None]:  # fmt: skip
        """The outcome of each event; None: it was not tried, because the request would have become too large.

        Events that the transformation skips, or fails on, are not part of the request. One deadline covers all of it.
        """
        ends = asyncio.get_running_loop().time() + deadline_s
        parts = await self._parts(endpoint, prepared, members, ends=ends, latest=ends - deadline_s / 2)
        sent = [(member, part) for member, part in zip(members, parts, strict=True) if isinstance(part, Request)]
        outcomes = iter(await self._send(endpoint, prepared, sent, traceparent, ends) if sent else ())
        return [next(outcomes) if isinstance(part, Request) else part for part in parts]

    async def _send(
        self, endpoint: Endpoint, prepared: PreparedEndpoint, sent: Sequence[tuple[Member, Request]], traceparent: str,
        ends: float,
    ) -> list[Outcome]:  # fmt: skip
        """Send some events in one request. Gives the outcome of each."""
        members, first, name = [member for member, _ in sent], sent[0][1], batch_id([m.event.id for m, _ in sent])
        try:
            body = await together(self._evaluator, endpoint, members, [request.body for _, request in sent])
        except NotSent as not_sent:
            outcomes = [not_sent.outcome] * len(sent)
        else:
            callback = Callback(
                message_id=name, body=body, timestamp_s=self._clock.now_ms() // 1000, traceparent=traceparent,
                method=first.method, url=first.url,
            )  # fmt: skip
            left_s = max(LEAST_S, ends - asyncio.get_running_loop().time())
            answered = await self._sender.send(prepared, callback, deadline_s=left_s)
            outcomes = await self._outcomes(endpoint, members, answered)
        return [
            msgspec.structs.replace(outcome, batch_id=name, batch_size=len(sent), answer=b"") for outcome in outcomes
        ]

    async def _parts(
        self, endpoint: Endpoint, prepared: PreparedEndpoint, members: Sequence[Member], *, ends: float, latest: float
    ) -> list[Request | Outcome | None]:
        """The request of each event alone; or why there is none, or None: it has no room. The first always has.

        After `latest`, such as because lookups take long, those that are left wait for the next request.
        """
        parts: list[Request | Outcome | None] = []
        size, now = 0, asyncio.get_running_loop().time
        waits = endpoint.request.lookup is not None or endpoint.request.body is not None
        for at in range(0, len(members), AT_ONCE):
            some = members[at : at + AT_ONCE]
            if size > MOST_BYTES or (at and now() > latest):
                parts += [None] * len(some)
                continue
            composing = [self._part(endpoint, prepared, each, max(LEAST_S, ends - now())) for each in some]
            # A task costs more than composing a plain event.
            composed = await all_of(*composing) if waits else [await each for each in composing]
            for part in composed:
                is_first = size == 0
                size += len(part.body) if isinstance(part, Request) else 0
                parts.append(part if isinstance(part, Outcome) or is_first or size <= MOST_BYTES else None)
        return parts

    async def _part(
        self, endpoint: Endpoint, prepared: PreparedEndpoint, member: Member, deadline_s: float
    ) -> Request | Outcome:
        event, event_type, body = member
        try:
            return await self._composing.compose(endpoint, prepared, event, event_type, body, deadline_s=deadline_s)
        except NotSent as not_sent:
            return not_sent.outcome
        except StoreUnavailable:
            return Outcome(error=Failure.LOCAL, detail="the store did not answer")

    async def _outcomes(self, endpoint: Endpoint, sent: Sequence[Member], answered: Outcome) -> list[Outcome]:
        """What an answer says of each event."""
        batch = endpoint.request.batch
        if batch is None or batch.failed is None or not answered.succeeded:
            return [answered] * len(sent)
        facts = [facts_of(member.event, member.event_type, endpoint) for member in sent]
        bindings = {"events": joined([each["event"] for each in facts]), "variables": facts[0]["variables"]}
        answer = answered.answer or b"null"
        try:
            found = await self._evaluator.evaluate(endpoint.id, {FAILED: batch.failed}, answer, bindings)
            places = named(found[FAILED], json_text.decode(bindings["events"]))
        except ExpressionFailed as error:
            return [_partial(answered, f"`{FAILED}`: {cut(error.message, LONGEST_WHY)}")] * len(sent)
        except Unnamed as error:
            return [_partial(answered, str(error))] * len(sent)
        except EvaluatorUnavailable as error:
            return [Outcome(error=Failure.LOCAL, detail=f"`{FAILED}` could not be evaluated: {error}")] * len(sent)
        failed = _partial(answered, THIS_ONE)
        return [failed if at in places else answered for at in range(len(sent))]


async def together(
    evaluator: Evaluator, endpoint: Endpoint, members: Sequence[Member], bodies: Sequence[bytes]
) -> bytes:
    """The body of a request with some events, of which each has a body. Raises NotSent."""
    shape = endpoint.request
    assert shape.batch is not None  # noqa: S101 - the caller asked
    if shape.body is None:
        bodies = [with_id(member.event.id, body) for member, body in zip(members, bodies, strict=True)]
    array = joined(bodies)
    if shape.batch.body is None:
        return array
    facts = [facts_of(member.event, member.event_type, endpoint) for member in members]
    bindings = {"events": joined([each["event"] for each in facts]), "variables": facts[0]["variables"]}
    result = (await evaluated(evaluator, endpoint, {BODY: shape.batch.body}, array, bindings))[BODY]
    if result is None:
        raise NotSent(Outcome(skipped=True))
    return result


def _partial(answered: Outcome, detail: str) -> Outcome:
    """The outcome of an event that failed although the request did not."""
    return msgspec.structs.replace(answered, error=Failure.PARTIAL, detail=detail, ruling=None)
