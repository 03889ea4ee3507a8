"""One attempt: its request, the callback that carries it, its span if traces are on, and its line of the log."""

import asyncio
from collections.abc import Sequence

import msgspec

from relay.domain.envelope import type_name
from relay.domain.model import Endpoint
from relay.domain.outcomes import Failure, Outcome
from relay.domain.sending.delivery import Delivery
from relay.domain.sending.judging import Landed
from relay.errors import StoreUnavailable
from relay.observability.spans import AttemptSpan, Spans
from relay.outbound.callbacks import Callback, CallbackSender
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.clock import Clock
from relay.pipeline.dispatch.attempt_log import AttemptLog
from relay.pipeline.dispatch.batching import LEAST_S, Batching, Member
from relay.pipeline.dispatch.composing import Composing
from relay.pipeline.dispatch.shaping import NotSent, is_shaped
from relay.pipeline.dispatch.tailing import Tailing


class Attempting:
    """Makes attempts. `deadline_s` bounds each."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        sender: CallbackSender,
        composing: Composing,
        batching: Batching,
        clock: Clock,
        deadline_s: float,
        tailing: Tailing,
        spans: Spans | None = None,
    ) -> None:
        self._catalogue, self._sender, self._composing, self._clock = catalogue, sender, composing, clock
        self._batching = batching
        self.deadline_s, self.tailing, self._spans = deadline_s, tailing, spans
        self._log = AttemptLog(with_trace=spans is not None)
        self.ended = 0
        """How many attempts have ended."""

    async def send(self, delivery: Delivery) -> list[Outcome | None]:
        """Send a delivery to its endpoint, in one request with the others of its batch.

        Gives the outcome of each, None for one that was not tried. Raises nothing that a receiver can cause.
        """
        endpoint = delivery.lane.machine.endpoint
        assert endpoint is not None  # noqa: S101 - nothing is sent to an endpoint that is not known
        if delivery.lane.machine.batch is not None:
            return await self._send_batch(delivery.members, endpoint)
        return [await self._send_alone(delivery, endpoint)]

    async def _send_alone(self, delivery: Delivery, endpoint: Endpoint) -> Outcome:
        event = delivery.event
        span = None if self._spans is None else _span(self._spans, delivery, endpoint)
        callback = Callback(
            message_id=event.id,
            body=self._catalogue.body_for(endpoint, event, delivery.reference.type_code),
            timestamp_s=self._clock.now_ms() // 1000,
            traceparent="" if span is None else span.traceparent,
        )
        if is_shaped(endpoint):
            outcome = await self._send_shaped(delivery, endpoint, callback)
        else:
            prepared = self._catalogue.prepared(endpoint)
            outcome = await self._sender.send(prepared, callback, deadline_s=self.deadline_s)
        if span is not None:
            span.end(outcome)
        return outcome

    async def _send_batch(self, deliveries: Sequence[Delivery], endpoint: Endpoint) -> list[Outcome | None]:
        spans = [] if self._spans is None else [_span(self._spans, each, endpoint) for each in deliveries]
        members = []
        for delivery in deliveries:
            event, code = delivery.event, delivery.reference.type_code
            members.append(Member(event, type_name(event, code), self._catalogue.body_for(endpoint, event, code)))
        outcomes = await self._batching.send(
            endpoint, self._catalogue.prepared(endpoint), members,
            traceparent=spans[0].traceparent if spans else "", deadline_s=self.deadline_s,
        )  # fmt: skip
        for span, outcome in zip(spans, outcomes, strict=False):
            if outcome is not None:
                span.end(outcome)
        return outcomes

    async def _send_shaped(self, delivery: Delivery, endpoint: Endpoint, callback: Callback) -> Outcome:
        """Compose the request, send it, and keep what its answer says. One deadline covers all of it."""
        event, prepared = delivery.event, self._catalogue.prepared(endpoint)
        loop = asyncio.get_running_loop()
        ends = loop.time() + self.deadline_s
        try:
            request = await self._composing.compose(
                endpoint, prepared, event, type_name(event, delivery.reference.type_code), callback.body,
                deadline_s=self.deadline_s,
            )  # fmt: skip
        except NotSent as not_sent:
            return not_sent.outcome
        except StoreUnavailable:
            return Outcome(error=Failure.LOCAL, detail="the store did not answer")
        callback = msgspec.structs.replace(callback, body=request.body, method=request.method, url=request.url)
        outcome = await self._sender.send(prepared, callback, deadline_s=max(LEAST_S, ends - loop.time()))
        if endpoint.request.capture is None or not outcome.succeeded:
            return outcome
        left_s = max(LEAST_S, ends - loop.time())
        wrong = await self._composing.capture(endpoint, event, outcome.answer, deadline_s=left_s)
        return msgspec.structs.replace(outcome, detail=wrong or outcome.detail, answer=b"")

    def note(self, landed: Landed, *, now_ms: int) -> None:
        """An attempt has ended, and was judged."""
        self.ended += 1
        about = landed.delivery, landed.outcome, landed.attempt
        self._log.ended(*about, now_ms=now_ms)
        if self.tailing.is_wanted:
            self.tailing.ended(*about, now_ms=now_ms)


def _span(spans: Spans, delivery: Delivery, endpoint: Endpoint) -> AttemptSpan:
    ids = {"relay.source": delivery.lane.source, "relay.app": endpoint.app_id, "relay.endpoint": endpoint.id}
    number = delivery.reference.attempt
    method = endpoint.request.method
    return spans.attempt(delivery.event.id, number=number, method=method, url=endpoint.url, attributes=ids)
