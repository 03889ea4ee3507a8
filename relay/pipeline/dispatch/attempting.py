"""One attempt: its request, the callback that carries it, its span if traces are on, and its line of the log."""

import asyncio

import msgspec

from relay.domain.envelope import type_name
from relay.domain.model import Attempt, Endpoint
from relay.domain.outcomes import Failure, Outcome
from relay.domain.sending.delivery import Delivery
from relay.errors import StoreUnavailable
from relay.observability.spans import AttemptSpan, Spans
from relay.outbound.callbacks import Callback, CallbackSender
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.clock import Clock
from relay.pipeline.dispatch.attempt_log import AttemptLog
from relay.pipeline.dispatch.composing import Composing
from relay.pipeline.dispatch.shaping import NotSent, is_shaped
from relay.pipeline.dispatch.tailing import Tailing

LEAST_S = 0.1
"""A request that was composed just in time gets so long at least."""


class Attempting:
    """Makes attempts. `deadline_s` bounds each."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        sender: CallbackSender,
        composing: Composing,
        clock: Clock,
        deadline_s: float,
        tailing: Tailing,
        spans: Spans | None = None,
    ) -> None:
        self._catalogue, self._sender, self._composing, self._clock = catalogue, sender, composing, clock
        self.deadline_s, self.tailing, self._spans = deadline_s, tailing, spans
        self._log = AttemptLog(with_trace=spans is not None)
        self.ended = 0
        """How many attempts have ended."""

    async def send(self, delivery: Delivery) -> Outcome:
        """Send a delivery to its endpoint. Raises nothing that a receiver can cause."""
        endpoint, event = delivery.lane.machine.endpoint, delivery.event
        assert endpoint is not None  # noqa: S101 - nothing is sent to an endpoint that is not known
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

    def note(self, delivery: Delivery, outcome: Outcome, attempt: Attempt, *, now_ms: int) -> None:
        """An attempt has ended, and was judged."""
        self.ended += 1
        self._log.ended(delivery, outcome, attempt, now_ms=now_ms)
        if self.tailing.is_wanted:
            self.tailing.ended(delivery, outcome, attempt, now_ms=now_ms)


def _span(spans: Spans, delivery: Delivery, endpoint: Endpoint) -> AttemptSpan:
    ids = {"relay.source": delivery.lane.source, "relay.app": endpoint.app_id, "relay.endpoint": endpoint.id}
    number = delivery.reference.attempt
    return spans.attempt(delivery.event.id, number=number, url=endpoint.url, attributes=ids)
