"""What the log says of attempts, of breakers and of lanes."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import structlog

from relay.domain.outcomes import Failure
from relay.observability import setup_logging
from relay.outbound.failures import EgressError
from tests.fakes.subscribers import OK, Got, status
from tests.fakes.upstream import make_row, says
from tests.integration.pipeline.dispatching_rig import Dispatching
from tests.integration.pipeline.rig import UK, Rig, catch_up, slice_of, until

pytestmark = pytest.mark.timeout(30)
Lines = list[Any]
CANARIES = ("+447946000958", "7946000958", "path-secret", "query-secret", "body-secret", "header-secret")


@pytest.fixture
async def floor(rig: Rig) -> Dispatching:
    await rig.source()
    return Dispatching(rig)


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The configuration of logs is another one after the test, so the modules' loggers must not keep this one."""
    configure, root = structlog.configure, logging.getLogger()
    uncached = {"cache_logger_on_first_use": False}
    monkeypatch.setattr(structlog, "configure", lambda **given: configure(**(given | uncached)))
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def of(lines: Lines, event: str) -> Lines:
    """The lines of an event."""
    return [line for line in lines if line["event"] == event]


def raises(failure: Failure) -> Any:
    """A receiver that cannot be reached."""

    def fail(_: Got) -> httpx.Response:
        raise EgressError(failure, "the relay's own words")

    return fail


async def test_each_attempt_that_does_not_deliver_is_a_line(floor: Dispatching) -> None:
    """500, 401, refused connections and no DNS: with everything that names the attempt, and why it failed."""
    answers = {
        "a.example.com": status(500),
        "b.example.com": status(401),
        "c.example.com": raises(Failure.CONNECT),
        "d.example.com": raises(Failure.DNS),
        "e.example.com": OK,
    }
    named = {(await floor.rig.endpoint(url=f"https://{host}/hook")).id: host for host in answers}
    floor.subscribers.answers.update(answers)
    with structlog.testing.capture_logs() as lines:
        async with floor.worker():
            await floor.rows(1)
            await until(lambda: len(of(lines, "attempt_failed")) == 4 and len(of(lines, "attempt_delivered")) == 1)
            await floor.settled()
    failed = {named[line["endpoint"]]: line for line in of(lines, "attempt_failed")}
    assert {host[0]: (line["status"], line["reason"]) for host, line in failed.items()} == {
        "a": (500, "status"), "b": (401, "status"), "c": (0, "connect"), "d": (0, "dns"),
    }  # fmt: skip
    for line in failed.values():
        assert line["log_level"] == "warning"
        assert (line["source"], line["attempt"], line["verdict"], line["by_hand"]) == (UK, 1, "retry", False)
        assert line["message"].startswith("msg_")
        assert line["app"].startswith("app_")
        assert line["duration_ms"] >= 0
        assert line["next_in_s"] > 1
    assert of(lines, "attempt_delivered")[0]["log_level"] == "debug"


async def test_an_attempt_that_delivers_takes_no_line_at_level_info(
    floor: Dispatching, restored: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """The default: while everything is delivered, the log of attempts is empty."""
    setup_logging("json", "info")
    await floor.rig.endpoint(url="https://crm.example.com/hook")
    async with floor.worker():
        await floor.rows(20)
        await floor.all_ended()
    assert "attempt" not in capsys.readouterr().err


async def test_the_same_failure_is_counted(
    floor: Dispatching, restored: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """A hundred events that an endpoint refuses are one line at once; another status is another one."""
    setup_logging("json", "info")
    await floor.rig.endpoint(url="https://crm.example.com/hook")
    floor.subscribers.answers["crm.example.com"] = lambda got: status(401 if got.row_id % 2 else 404)(got)
    async with floor.worker():
        await floor.rows(100)
        await until(lambda: len(floor.subscribers.got) == 100)
        await floor.settled()
    lines = of([json.loads(line) for line in capsys.readouterr().err.splitlines()], "attempt_failed")
    assert sorted(line["status"] for line in lines) == [401, 404]


async def test_a_breaker_says_when_it_opens_and_closes(floor: Dispatching) -> None:
    """One line for each change, and for each probe that fails; its lane is parked."""
    crm = await floor.rig.endpoint(url="https://crm.example.com/hook", max_in_flight=1)
    floor.subscribers.answers["crm.example.com"] = status(500)
    with structlog.testing.capture_logs() as lines:
        async with floor.worker():
            await floor.rows(10)
            await until(lambda: len(floor.subscribers.got) == 5)
            await floor.settled()
            await floor.pass_time(31)
            await until(lambda: len(floor.subscribers.got) == 6)
            await floor.settled()
            floor.subscribers.answers["crm.example.com"] = OK
            for _ in range(3):
                await floor.pass_time(31)
            await floor.all_ended()
    told = [line["event"] for line in lines if line["event"] in ("breaker_opened", "probe_failed", "breaker_closed")]
    assert told == ["breaker_opened", "probe_failed", "breaker_closed"]
    assert {line["endpoint"] for line in of(lines, "breaker_opened")} == {crm.id}
    assert of(lines, "breaker_opened")[0]["pause_s"] > 1
    parked = of(lines, "lane_parked")[0]
    assert (parked["source"], parked["endpoint"]) == (UK, crm.id)
    assert parked["for_s"] >= 0


async def test_pages_and_routes_say_what_they_brought(rig: Rig) -> None:
    """A page with rows, a page that failed, a route that is stopped, and one that works again."""
    await rig.source()
    rig.upstream.show(*(make_row(row_id) for row_id in (1, 2, 3)))
    polling, about = rig.poller(), {"source": UK, "route": "all"}
    with structlog.testing.capture_logs() as lines:
        await catch_up(rig, polling)
        for amiss, expected in ((says(500), "poll_failed"), (says(401), "route_stopped"), (None, "route_resumed")):
            rig.clock.advance(5000)
            rig.upstream.amiss.extend([amiss] if amiss else [])
            async with slice_of(polling):
                await until(lambda expected=expected: of(lines, expected))
    brought = of(lines, "page_taken_in")
    assert [(line["reading"], line["rows"], line["events"], line["cursor"]) for line in brought[:1]] == [
        ("ahead", 3, 3, 3)
    ]
    assert [line["kind"] for line in of(lines, "poll_failed")] == ["Retriable", "Refused"]
    named = [
        line for line in lines if line["event"] in ("page_taken_in", "poll_failed", "route_stopped", "route_resumed")
    ]
    assert [line for line in named if not about.items() <= line.items()] == []
    assert [len(of(lines, event)) for event in ("route_stopped", "route_resumed")] == [1, 1]
    assert of(lines, "poll_failed")[0]["next_in_s"] > 0


async def test_nothing_of_a_row_stands_in_the_log_at_any_level(
    floor: Dispatching, restored: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """No phone number, no body, no header, and neither path nor query of a URL: whatever a receiver echoes."""
    setup_logging("json", "debug")
    url = "https://crm.example.com/path-secret?query-secret=1"
    await floor.rig.endpoint(url=url, headers={"x-own": "header-secret"})

    def echo(got: Got) -> httpx.Response:
        return httpx.Response(500 if got.row_id % 2 else 204, headers={"x-own": "header-secret"}, content=got.body)

    floor.subscribers.answers["crm.example.com"] = echo
    async with floor.worker():
        await floor.rows(10, srcPhoneNumber="+447946000958", title="body-secret")
        await until(lambda: len(floor.subscribers.got) == 10)
        await floor.settled()
    printed = capsys.readouterr().err
    assert printed.count("attempt_delivered") == 5
    assert "attempt_failed" in printed
    assert [canary for canary in CANARIES if canary in printed] == []
