"""One attempt: the callback, its span if traces are on, and its line of the log."""

from relay.domain.model import Attempt, Endpoint
from relay.domain.outcomes import Outcome
from relay.domain.sending.delivery import Delivery
from relay.observability.spans import AttemptSpan, Spans
from relay.outbound.callbacks import CallbackSender
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.clock import Clock
from relay.pipeline.dispatch.attempt_log import AttemptLog


class Attempting:
    """Makes attempts. `deadline_s` bounds each."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        sender: CallbackSender,
        clock: Clock,
        deadline_s: float,
        spans: Spans | None = None,
    ) -> None:
        self._catalogue, self._sender, self._clock = catalogue, sender, clock
        self._deadline_s, self._spans = deadline_s, spans
        self._log = AttemptLog(with_trace=spans is not None)
        self.ended = 0
        """How many attempts have ended."""

    async def send(self, delivery: Delivery) -> Outcome:
        """Send a delivery to its endpoint. Raises nothing that a receiver can cause."""
        endpoint, event = delivery.lane.machine.endpoint, delivery.event
        assert endpoint is not None  # noqa: S101 - nothing is sent to an endpoint that is not known
        span = None if self._spans is None else _span(self._spans, delivery, endpoint)
        outcome = await self._sender.send(
            self._catalogue.prepared(endpoint),
            message_id=event.id,
            body=self._catalogue.body_for(endpoint, event, delivery.reference.type_code),
            timestamp_s=self._clock.now_ms() // 1000,
            deadline_s=self._deadline_s,
            traceparent="" if span is None else span.traceparent,
        )
        if span is not None:
            span.end(outcome)
        return outcome

    def note(self, delivery: Delivery, outcome: Outcome, attempt: Attempt, *, now_ms: int) -> None:
        """An attempt has ended, and was judged."""
        self.ended += 1
        self._log.ended(delivery, outcome, attempt, now_ms=now_ms)


def _span(spans: Spans, delivery: Delivery, endpoint: Endpoint) -> AttemptSpan:
    ids = {"relay.source": delivery.lane.source, "relay.app": endpoint.app_id, "relay.endpoint": endpoint.id}
    number = delivery.reference.attempt
    return spans.attempt(delivery.event.id, number=number, url=endpoint.url, attributes=ids)
