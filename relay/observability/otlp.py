"""Traces by OpenTelemetry's SDK, exported by OTLP over HTTP. The SDK's own OTEL_* variables say where to, and how many.

The ids of a trace follow from the message (relay.domain.span_ids). So does the sampler's decision, which goes by the id
of the trace: all workers take the same traces, and a retry two days later belongs to the same one. A span is made when
it has ended, because the SDK's spans that are under way cost five times as much.
"""

import asyncio
import math
import os
import random
import threading
import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from relay.domain.outcomes import Outcome
from relay.domain.span_ids import TraceIds, trace_of, traceparent
from relay.observability.spans import Attributes

log = structlog.get_logger()

SERVICE: Final = "infinity-event-relay"
FLUSH_WITHIN_S: Final = 2.0
"""A collector that is away must not hold up the end of a process."""
SHARES: Final = {"always_on": "1", "always_off": "0"}
NS_IN_MS: Final = 1_000_000
SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
DELIVERED: Final = Status(StatusCode.UNSET)
FAILED: Final = Status(StatusCode.ERROR)


class OtlpSpans:
    """See relay.observability.spans.Spans."""

    def __init__(self, processor: SpanProcessor, *, version: str, pod: str) -> None:
        own = Resource.create({"service.name": SERVICE, "service.version": version, "service.instance.id": pod})
        # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES count more.
        self._resource = own.merge(OTELResourceDetector().detect())
        self._below = TraceIdRatioBased(sampled_share(os.environ)).bound
        self._scope = InstrumentationScope("relay", version)
        self._processor = processor

    @classmethod
    def from_environment(cls, *, version: str, pod: str) -> "OtlpSpans | None":
        """Export as the OTEL_* variables say; None: they switch traces off."""
        is_disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
        if is_disabled or os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
            return None
        return cls(BatchSpanProcessor(OTLPSpanExporter()), version=version, pod=pod)

    def stored(self, message: str, name: str, attributes: Attributes, *, began_ms: int, ended_ms: int) -> None:
        """The beginning of a message's trace."""
        ids = trace_of(message)
        if self.is_sampled(ids):
            self._processor.on_end(
                ReadableSpan(
                    name,
                    _context(ids.trace, ids.root),
                    resource=self._resource,
                    attributes={"messaging.message.id": message, **attributes},
                    kind=SpanKind.PRODUCER,
                    start_time=began_ms * NS_IN_MS,
                    end_time=ended_ms * NS_IN_MS,
                    instrumentation_scope=self._scope,
                )
            )

    def attempt(self, message: str, *, number: int, method: str, url: str, attributes: Attributes) -> "OtlpAttempt":
        """A span below the one that stored the message."""
        return OtlpAttempt(self, message, number, url, {"http.request.method": method, **attributes})

    def ended(self, attempt: "OtlpAttempt", outcome: Outcome, began_ns: int) -> None:
        """Export the span of an attempt."""
        parts = urlsplit(attempt.url)
        told: dict[str, str | int] = {
            "messaging.message.id": attempt.message,
            "http.request.resend_count": attempt.number - 1,
            "server.address": parts.hostname or "",
            "server.port": parts.port or (443 if parts.scheme == "https" else 80),
            **attempt.attributes,
        }
        if outcome.status:
            told["http.response.status_code"] = outcome.status
        if not (outcome.succeeded or outcome.skipped):
            told["error.type"] = str(outcome.error or outcome.status)
        self._processor.on_end(
            ReadableSpan(
                "callback",
                _context(attempt.ids.trace, attempt.span),
                _context(attempt.ids.trace, attempt.ids.root, is_remote=True),
                self._resource,
                told,
                kind=SpanKind.CLIENT,
                status=DELIVERED if outcome.succeeded or outcome.skipped else FAILED,
                start_time=began_ns,
                end_time=began_ns + outcome.duration_ms * NS_IN_MS,
                instrumentation_scope=self._scope,
            )
        )

    def is_sampled(self, ids: TraceIds) -> bool:
        """Whether a trace is exported."""
        # As TraceIdRatioBased decides, which takes five times as long to say so.
        return ids.trace & TraceIdRatioBased.TRACE_ID_LIMIT < self._below

    async def close(self) -> None:
        """Export what is left, within two seconds."""
        # A thread that ends with the process: the exporter may wait for its collector.
        thread = threading.Thread(target=self._processor.shutdown, name="traces", daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, FLUSH_WITHIN_S)


class OtlpAttempt:
    """The span of an attempt that is under way. If its trace is not exported, the receiver is told so."""

    __slots__ = ("_began_ns", "_spans", "attributes", "ids", "message", "number", "span", "traceparent", "url")

    def __init__(self, spans: OtlpSpans, message: str, number: int, url: str, attributes: Attributes) -> None:
        self.message, self.number, self.url, self.attributes = message, number, url, attributes
        self.ids, self.span = trace_of(message), random.getrandbits(64) or 1
        self._spans = spans
        self._began_ns = time.time_ns() if spans.is_sampled(self.ids) else 0
        self.traceparent = traceparent(self.ids.trace, self.span, sampled=self._began_ns > 0)

    def end(self, outcome: Outcome) -> None:
        """The attempt has ended."""
        if self._began_ns:
            self._spans.ended(self, outcome, self._began_ns)


def sampled_share(environ: Mapping[str, str]) -> float:
    """The share of traces that OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG ask for: of 0 to 1, by default 1.

    A message has no trace before, so samplers that go by the parent decide as their roots do.
    """
    name = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower().removeprefix("parentbased_") or "always_on"
    text = environ.get("OTEL_TRACES_SAMPLER_ARG", "").strip() if name == "traceidratio" else SHARES.get(name, "")
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        do = f"set OTEL_TRACES_SAMPLER to one of {', '.join(SHARES)}, or to traceidratio with a share from 0 to 1"
        log.warning("trace_sampler_unknown", do=do, used=1.0)
        return 1.0
    return share


def _context(trace: int, span: int, *, is_remote: bool = False) -> SpanContext:
    return SpanContext(trace, span, is_remote=is_remote, trace_flags=SAMPLED)
