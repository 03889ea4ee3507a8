"""`relay tail` shows each attempt once, however the stream is cut, and knows when it must not connect again."""

import argparse
import io
import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.cli import tail
from relay.cli.client.api import Api
from relay.cli.client.events import events_of
from relay.cli.client.places import Place
from relay.cli.faults import Refusal
from relay.cli.output import Output
from relay.domain.model import Secret

ATTEMPT = {
    "type": "attempt", "at": "2026-11-24T10:00:00.000Z", "endpointUid": None, "endpointId": "ep_1", "status": 0,
    "error": "timeout", "outcome": "retry", "durationMs": 20000, "eventType": "call.created", "msgId": "msg_1",
    "number": 2,
}  # fmt: skip
START, END = {"type": "start", "at": "2026-11-24T10:00:00.000Z"}, {"type": "end", "reason": "key"}


def stream(*events: dict[str, object]) -> bytes:
    """The bytes of a stream."""
    return b"".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in events)


@given(st.lists(st.integers(1, 200), max_size=20))
def test_events_are_the_same_however_the_stream_is_cut(cuts: list[int]) -> None:
    """Between any two bytes."""
    whole = stream(START, ATTEMPT, END)
    chunks, at = [], 0
    for cut in cuts:
        chunks.append(whole[at : at + cut])
        at += cut
    assert list(events_of([*chunks, whole[at:]])) == [START, ATTEMPT, END]


@pytest.mark.parametrize("chunks", [[b"data: " + b"x" * 65_536] * 40, [b"data: [1]\n\n"], [b"data: x\n\n"]])
def test_what_no_relay_sends_ends_it(chunks: list[bytes]) -> None:
    """An endless line, and events that are no objects."""
    with pytest.raises(Refusal, match="is it that of a relay"):
        list(events_of(chunks))


@pytest.mark.parametrize(("as_json", "says"), [(False, "retry     timeout 20000 ms  ep_1"), (True, '"msgId": "msg_1"')])
def test_attempts_are_lines_until_the_key_ends(as_json: bool, says: str) -> None:
    """Filters are parameters. A key that no longer works is not tried again."""
    asked: list[httpx.URL] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        lost = {"type": "lost", "attempts": None}
        return httpx.Response(200, content=stream(START, ATTEMPT, lost, END))

    shown = io.StringIO()
    args = argparse.Namespace(
        source=None, app="crm", endpoint=None, types=["call.created", "goal.created"], classes=None, outcomes=["dead"],
        seconds=None,
    )  # fmt: skip
    place = Place(url="https://relay.example", key=Secret("k"), key_from="RELAY_API_KEY")
    with Api(place, httpx.MockTransport(answer)) as api, pytest.raises(Refusal, match="no longer works"):
        tail._tail(api, Output(as_json=as_json, stream=shown), args)
    assert dict(asked[0].params) == {"app": "crm", "event_types": "call.created,goal.created", "outcomes": "dead"}
    assert len(asked) == 1
    assert says in shown.getvalue()
    assert len(shown.getvalue().splitlines()) == (4 if as_json else 3)


def test_a_tail_that_ends_without_a_connection_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that follows for some seconds must not take silence for quiet."""
    monkeypatch.setattr(tail, "AGAIN_S", 0.4)

    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    args = argparse.Namespace(
        source=None, app=None, endpoint=None, types=None, classes=None, outcomes=None, seconds=1
    )  # fmt: skip
    place = Place(url="https://relay.example", key=Secret("k"), key_from="RELAY_API_KEY")
    with Api(place, httpx.MockTransport(refuse)) as api, pytest.raises(Refusal, match="cannot connect"):
        tail._tail(api, Output(as_json=False), args)
