"""Counts: what one process has done since it began. Plain numbers that only grow; metrics are made of them."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable

from relay.domain.event_types import EVENT_TYPES
from relay.domain.model import Attempt, EndpointId, SourceUid
from relay.domain.outcomes import Failure
from relay.domain.sending.effects import HandIn

DURATION_BOUNDS_MS = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 20_000)
"""Upper bounds of the buckets that durations of attempts are counted in."""


class ConnectionCounts:
    """How callbacks got their connections."""

    def __init__(self) -> None:
        self.opened = 0
        self.reused = 0
        """Connections that were kept. One that turns out to be closed counts as well, and so does the new one."""


class SendingCounts:
    """What a worker has sent. `handed_in` counts whole batches, after the callbacks, so that none waits for it."""

    def __init__(self, connections: ConnectionCounts) -> None:
        self.connections = connections
        self.outcomes: Counter[str] = Counter()
        """Attempts by the class of their status, such as `2xx`, or by the failure, see domain.outcomes.Failure.
        Whether they succeeded is another question: rules of an endpoint can decide against the status."""
        self.succeeded: dict[EndpointId, int] = {}
        """Attempts whose verdict was a success, by endpoint."""
        self.failed: dict[EndpointId, int] = {}
        self.durations = [0] * (len(DURATION_BOUNDS_MS) + 1)
        """Attempts by the index of the first bound that they did not exceed; the last: they exceeded all."""
        self.duration_ms = 0
        """All attempts together."""
        self.ended: Counter[str] = Counter()
        """Deliveries that ended: `delivered`, `dead`, `unwanted`."""
        self.retries = 0
        """Deliveries that were put off until their next attempt."""
        self.breakers: Counter[str] = Counter()
        """Changes of breakers that this worker asked for: `open`, `probe`, `well`, …"""
        self.reclaimed = 0
        """Lanes that were taken from workers that died."""
        self.poisoned = 0
        """Deliveries that were set aside because they killed their workers."""

    def handed_in(self, lanes: Iterable[HandIn]) -> None:
        """Count what is handed in for some lanes. Called once for each, also when an answer is lost."""
        ended = self.ended
        for lane in lanes:
            ended["delivered"] += len(lane.ended)
            ended["dead"] += len(lane.dead)
            ended["unwanted"] += len(lane.unwanted)
            self.retries += len(lane.due)
            if lane.attempts:
                self._attempted(lane)

    def _attempted(self, lane: HandIn) -> None:
        durations, succeeded, answered_ok, total_ms = self.durations, 0, 0, 0
        sent = [attempt for attempt in lane.attempts if attempt.verdict != "skipped"]
        for attempt in sent:
            succeeded += attempt.succeeded
            if 200 <= attempt.status < 300 and not _is_partial(attempt):
                answered_ok += 1
            else:
                self.outcomes[_outcome_of(attempt)] += 1
            took_ms = attempt.duration_ms
            durations[bisect_left(DURATION_BOUNDS_MS, took_ms)] += 1
            total_ms += took_ms
        self.duration_ms += total_ms
        if answered_ok:
            self.outcomes["2xx"] += answered_ok
        if succeeded:
            self.succeeded[lane.endpoint] = self.succeeded.get(lane.endpoint, 0) + succeeded
        if failed := len(sent) - succeeded:
            self.failed[lane.endpoint] = self.failed.get(lane.endpoint, 0) + failed

    def forget(self, known: Collection[EndpointId]) -> None:
        """Forget endpoints that are not among those that there are."""
        for counts in (self.succeeded, self.failed):
            for gone in counts.keys() - set(known):
                del counts[gone]


def _is_partial(attempt: Attempt) -> bool:
    return attempt.batch_size > 0 and attempt.error.startswith(Failure.PARTIAL)


def _outcome_of(attempt: Attempt) -> str:
    """The class of the status, such as `5xx`; without a status, the failure, and so of an event of a batch."""
    if _is_partial(attempt):
        return Failure.PARTIAL.value
    return f"{min(attempt.status // 100, 5)}xx" if attempt.status else attempt.error.partition(":")[0]


class ReadingCounts:
    """What a worker has read from upstreams."""

    def __init__(self) -> None:
        self.polls: Counter[tuple[SourceUid, str, str]] = Counter()
        """Requests by source, route and result: `ok`, `failed`, `refused`, `limit`."""
        self.rows: Counter[tuple[SourceUid, str]] = Counter()
        """Rows that were shown, by source and route; also those that were known."""
        self.known_rows = 0
        """Those of them that made no event, because the relay knew them as they are."""
        self.events: Counter[str] = Counter()
        """Events that were stored, by the first of their types."""
        self.outcomes: Counter[str] = Counter()
        """Requests by their result, of all sources, also of deleted ones."""
        self.quarantined = 0
        """Lines that could not be read and were set aside; each once."""

    def polled(self, source: SourceUid, route: str, outcome: str) -> None:
        """Count a request."""
        self.polls[source, route, outcome] += 1
        self.outcomes[outcome] += 1

    def took_in(self, source: SourceUid, route: str, *, rows: int, events: int) -> None:
        """Count the rows of a page, and the events that they made."""
        self.rows[source, route] += rows
        self.known_rows += rows - events

    def stored(self, events: Iterable[bytes]) -> None:
        """Count events, each by the codes of its types."""
        for types in events:
            self.events[EVENT_TYPES[types[0]]] += 1

    def forget(self, known: Collection[SourceUid]) -> None:
        """Forget sources that are not among those that there are."""
        there = set(known)
        for polled in [key for key in self.polls if key[0] not in there]:
            del self.polls[polled]
        for shown in [key for key in self.rows if key[0] not in there]:
            del self.rows[shown]
