"""Traces, as a real collector gets them: OTLP over HTTP, decoded with OpenTelemetry's own messages."""

import asyncio
import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import structlog
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

from relay.domain.requests.model import Method, RequestShape
from relay.domain.span_ids import trace_of
from relay.observability.otlp import OtlpSpans, sampled_share
from relay.observability.spans import open_spans
from tests.fakes.subscribers import OK, Got, status
from tests.fakes.upstream import make_row
from tests.integration.pipeline.dispatching_rig import Dispatching
from tests.integration.pipeline.rig import Rig, catch_up, until

pytestmark = pytest.mark.timeout(60)
URL = "https://crm.example.com/path-secret?query-secret=1"
CANARIES = (b"7946000958", b"path-secret", b"query-secret", b"header-secret")


class Collector:
    """A server that takes traces in, in a thread of its own."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def bodies(self) -> list[bytes]:
        return [gzip.decompress(b) if h.get("content-encoding") == "gzip" else b for _, h, b in self.requests]

    def exported(self) -> list[Any]:
        return [r for body in self.bodies() for r in ExportTraceServiceRequest.FromString(body).resource_spans]

    def spans(self) -> list[Any]:
        return [s for resource in self.exported() for scope in resource.scope_spans for s in scope.spans]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    collector = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=calls")
    yield collector
    collector.close()


def attributes(thing: Any) -> dict[str, Any]:
    """The attributes of a span or of a resource."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in thing.attributes}


def parent(got: Got) -> tuple[str, str, str, str]:
    """The four parts of a traceparent."""
    version, trace, span, flags = got.headers["traceparent"].split("-")
    return version, trace, span, flags


async def one_row(rig: Rig, spans: Any) -> Dispatching:
    """A row is polled, and its callback refused once; the second attempt delivers."""
    await rig.source()
    await rig.endpoint(url=URL, headers={"x-own": "header-secret"})
    floor = Dispatching(rig, spans)
    floor.subscribers.answers["crm.example.com"] = status(500)
    rig.upstream.show(make_row(1, srcPhoneNumber="+447946000958"))
    async with floor.worker():
        await catch_up(rig, rig.poller(spans=spans))
        floor.wake()
        await until(lambda: len(floor.subscribers.got) == 1)
        await floor.settled()
        floor.subscribers.answers["crm.example.com"] = OK
        await floor.pass_time(10)
        await floor.all_ended()
    return floor


async def test_one_trace_goes_from_the_poll_to_the_callback(rig: Rig, collector: Collector) -> None:
    """Both attempts are spans below the one that polled, and the receiver got the id of each."""
    async with open_spans("otlp", version="1.2.3", pod="relay-worker-0") as spans:
        floor = await one_row(rig, spans)
    first, second = floor.subscribers.got
    assert first.id == second.id
    poll, failed, delivered = sorted(
        collector.spans(), key=lambda span: (span.name != "poll", span.start_time_unix_nano)
    )
    assert (poll.name, failed.name, delivered.name) == ("poll", "callback", "callback")
    assert {span.trace_id.hex() for span in (poll, failed, delivered)} == {trace_of(first.id).text}
    assert poll.parent_span_id == b""
    assert [span.parent_span_id for span in (failed, delivered)] == [poll.span_id] * 2
    assert parent(first) == ("00", poll.trace_id.hex(), failed.span_id.hex(), "01")
    assert parent(second) == ("00", poll.trace_id.hex(), delivered.span_id.hex(), "01")
    assert attributes(poll) == {"messaging.message.id": first.id, "relay.source": "uk", "relay.route": "all"}
    told = attributes(failed)
    assert (told["http.response.status_code"], told["error.type"], failed.status.code) == (500, "500", 2)
    assert (told["server.address"], told["server.port"], told["http.request.resend_count"]) == (
        "crm.example.com",
        443,
        0,
    )
    assert attributes(delivered)["http.request.resend_count"] == 1
    assert "error.type" not in attributes(delivered)


async def test_what_is_skipped_is_no_error(rig: Rig, collector: Collector) -> None:
    """A transformation that says not to send an event has not failed."""
    async with open_spans("otlp", version="1.2.3", pod="relay-worker-0") as spans:
        await rig.source()
        await rig.endpoint(url=URL, request=RequestShape(transformation="null"))
        floor = Dispatching(rig, spans)
        async with floor.worker():
            await floor.rows(1)
            await floor.all_ended()
    [skipped] = collector.spans()
    assert (skipped.status.code, "error.type" in attributes(skipped)) == (0, False)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_a_span_has_the_method_of_its_request(rig: Rig, collector: Collector, method: Method) -> None:
    """Endpoints choose their method."""
    async with open_spans("otlp", version="1.2.3", pod="relay-worker-0") as spans:
        await rig.source()
        await rig.endpoint(url=URL, request=RequestShape(method=method))
        floor = Dispatching(rig, spans)
        async with floor.worker():
            await floor.rows(1)
            await floor.all_ended()
    [sent] = collector.spans()
    assert (attributes(sent)["http.request.method"], floor.subscribers.got[0].method) == (method, method)


async def test_no_content_leaves_in_a_trace(rig: Rig, collector: Collector) -> None:
    """Neither of a row, nor of a callback, nor the path of a URL. The collector's own settings hold."""
    async with open_spans("otlp", version="1.2.3", pod="relay-worker-0") as spans:
        await one_row(rig, spans)
    assert [canary for canary in CANARIES if any(canary in body for body in collector.bodies())] == []
    path, headers, _ = collector.requests[0]
    assert (path, headers["x-tenant"], headers["content-type"]) == ("/v1/traces", "calls", "application/x-protobuf")
    resource = attributes(collector.exported()[0].resource)
    assert (resource["service.name"], resource["service.version"]) == ("infinity-event-relay", "1.2.3")
    assert resource["service.instance.id"] == "relay-worker-0"


async def test_all_workers_take_the_same_traces(
    rig: Rig, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share of them is exported, each whole. The receiver of the others is told that nobody records them."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "calls-relay")
    await rig.source()
    await rig.endpoint(url=URL)
    async with open_spans("otlp", version="1", pod="a") as one, open_spans("otlp", version="1", pod="b") as other:
        floor = Dispatching(rig, other)
        rig.upstream.show(*(make_row(row_id) for row_id in range(1, 41)))
        async with floor.worker():
            await catch_up(rig, rig.poller(spans=one))
            floor.wake()
            await floor.all_ended()
    got = {trace_of(each.id).text: parent(each) for each in floor.subscribers.got}
    assert len(got) == 40
    assert all(version == "00" and trace == expected for expected, (version, trace, _, _) in got.items())
    sampled = {trace for trace, (_, _, _, flags) in got.items() if flags == "01"}
    assert 0 < len(sampled) < 40
    for name in ("poll", "callback"):
        assert {span.trace_id.hex() for span in collector.spans() if span.name == name} == sampled
    assert {attributes(each.resource)["service.name"] for each in collector.exported()} == {"calls-relay"}


async def test_a_posted_message_begins_a_trace(rig: Rig, collector: Collector) -> None:
    """At the request that posted it."""
    async with open_spans("otlp", version="1", pod="a") as spans:
        assert spans is not None
        spans.stored("msg_1", "post", {"relay.app": "app_1"}, began_ms=1000, ended_ms=1500)
    (span,) = collector.spans()
    assert (span.name, span.trace_id.hex()) == ("post", trace_of("msg_1").text)
    assert span.end_time_unix_nano - span.start_time_unix_nano == 500_000_000


async def test_a_failed_attempt_names_its_trace_in_the_log(rig: Rig, collector: Collector) -> None:
    """So one leads to the other."""
    async with open_spans("otlp", version="1", pod="a") as spans:
        with structlog.testing.capture_logs() as lines:
            floor = await one_row(rig, spans)
    (failed,) = [line for line in lines if line["event"] == "attempt_failed"]
    assert failed["trace"] == trace_of(floor.subscribers.got[0].id).text


@pytest.mark.parametrize(
    ("name", "argument", "share"),
    [
        ("", "", 1.0), ("always_on", "", 1.0), ("parentbased_always_on", "x", 1.0), ("always_off", "", 0.0),
        ("traceidratio", "0.25", 0.25), ("parentbased_traceidratio", "0.1", 0.1), ("traceidratio", "", 1.0),
        ("traceidratio", "2", 1.0), ("traceidratio", "nan", 1.0), ("jaeger_remote", "", 1.0),
    ],
)  # fmt: skip
def test_the_standard_samplers_are_known(name: str, argument: str, share: float) -> None:
    """By OpenTelemetry's own variables. What cannot be used is a warning, and everything is exported."""
    environment = {"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument}
    with structlog.testing.capture_logs() as lines:
        assert sampled_share(environment) == share
    wrong = name == "jaeger_remote" or (name == "traceidratio" and argument in ("", "2", "nan"))
    assert [line["event"] for line in lines] == ["trace_sampler_unknown"] * wrong


def test_the_sampler_decides_as_the_sdk_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other services that go by the id of the trace take the same ones."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.3")
    spans, theirs = (
        OtlpSpans(SimpleSpanProcessor(ConsoleSpanExporter()), version="1", pod="a"),
        TraceIdRatioBased(0.3),
    )
    for number in range(300):
        ids = trace_of(f"msg_{number}")
        decision = theirs.should_sample(None, ids.trace, "callback").decision
        assert spans.is_sampled(ids) is decision.is_sampled()


@pytest.mark.parametrize(
    ("choice", "environment"),
    [("off", {}), ("otlp", {"OTEL_SDK_DISABLED": "true"}), ("otlp", {"OTEL_TRACES_EXPORTER": "none"})],
)
async def test_without_traces_nothing_is_told(
    rig: Rig, collector: Collector, monkeypatch: pytest.MonkeyPatch, choice: str, environment: dict[str, str]
) -> None:
    """By default. OpenTelemetry's own switches count too."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    async with open_spans(choice, version="1", pod="a") as spans:
        assert spans is None
        floor = await one_row(rig, spans)
    assert ["traceparent" in each.headers for each in floor.subscribers.got] == [False, False]
    assert collector.requests == []


async def test_a_collector_that_is_away_holds_nothing_up(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Callbacks are sent, and the process ends in time."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    async with asyncio.timeout(30), open_spans("otlp", version="1", pod="a") as spans:
        floor = await one_row(rig, spans)
    assert len(floor.subscribers.got) == 2
