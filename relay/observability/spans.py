"""Traces: from the page that brought a row, or the request that posted a message, to each attempt to deliver it.

Nothing is imported from OpenTelemetry unless traces are on: relay.observability.otlp does that.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from relay.domain.outcomes import Outcome

Attributes = Mapping[str, str | int]
"""Ids and numbers. No content, and of URLs the host only."""


class AttemptSpan(Protocol):
    """The span of an attempt that is under way."""

    traceparent: str
    """What the receiver is told (W3C Trace Context)."""

    def end(self, outcome: Outcome) -> None:
        """The attempt has ended."""


class Spans(Protocol):
    """Where spans go."""

    def stored(self, message: str, name: str, attributes: Attributes, *, began_ms: int, ended_ms: int) -> None:
        """A message was stored: the beginning of its trace. Times are ms since 1970."""

    def attempt(self, message: str, *, number: int, method: str, url: str, attributes: Attributes) -> AttemptSpan:
        """An attempt to deliver a message begins; `number` is 1 for the first."""


@asynccontextmanager
async def open_spans(choice: str, *, version: str, pod: str) -> AsyncIterator[Spans | None]:
    """Traces as RELAY_TRACING says: `off` (None) or `otlp`. What is left to export is exported at the end."""
    if choice == "off":
        yield None
        return
    from relay.observability.otlp import OtlpSpans

    spans = OtlpSpans.from_environment(version=version, pod=pod)
    try:
        yield spans
    finally:
        if spans is not None:
            await spans.close()
