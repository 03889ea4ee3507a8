"""What a process counts."""

from relay.domain.counts import DURATION_BOUNDS_MS, ConnectionCounts, ReadingCounts, SendingCounts
from relay.domain.lags import Histogram
from relay.domain.model import Attempt, EndpointId, SourceUid
from relay.domain.sending.effects import HandIn

CRM = EndpointId("ep_crm")


def attempt(status: int = 0, *, error: str = "", took_ms: int = 7, verdict: str = "retry") -> Attempt:
    """One attempt."""
    return Attempt(
        endpoint_id=CRM, seq=1, number=1, type_code=0, started_at_ms=0, duration_ms=took_ms, status=status,
        verdict=verdict, error=error,
    )  # fmt: skip


def test_attempts_are_counted_by_what_came_of_them() -> None:
    """By class or failure, by endpoint, and by how long they took."""
    counts = SendingCounts(ConnectionCounts())
    good = attempt(204, verdict="delivered")
    tries = [good, attempt(503), attempt(error="timeout: the deadline passed", took_ms=20_001), attempt(599)]
    lane = HandIn(
        CRM, ended=[b"a1:0:abcde"], dead=[(b"a2:0:abcde", "exhausted")], due=[(b"", "", 1, "")], attempts=tries
    )
    counts.handed_in([lane, HandIn(CRM)])
    assert counts.outcomes == {"2xx": 1, "5xx": 2, "timeout": 1}
    assert (counts.succeeded, counts.failed) == ({CRM: 1}, {CRM: 3})
    assert (counts.ended["delivered"], counts.ended["dead"], counts.retries) == (1, 1, 1)
    assert counts.durations == [0, 3, *[0] * (len(DURATION_BOUNDS_MS) - 2), 1]
    assert counts.duration_ms == 20_001 + 3 * 7
    counts.forget([])
    assert (counts.succeeded, counts.failed) == ({}, {})


def test_the_verdict_says_what_succeeded() -> None:
    """A rule can make a 409 a success and a 200 a failure; what was skipped is neither. Classes show the statuses."""
    counts = SendingCounts(ConnectionCounts())
    ruled = [attempt(409, verdict="delivered"), attempt(200, verdict="dead"), attempt(verdict="skipped")]
    counts.handed_in([HandIn(CRM, attempts=ruled)])
    assert (counts.succeeded, counts.failed) == ({CRM: 1}, {CRM: 1})
    assert counts.outcomes == {"4xx": 1, "2xx": 1}


def test_reading_is_counted() -> None:
    """Sources that are gone are forgotten; totals are not."""
    counts, uk = ReadingCounts(), SourceUid("uk")
    counts.polled(uk, "all", "ok")
    counts.took_in(uk, "all", rows=10, events=3)
    counts.stored([b"\x04\x08", b"\x04"])
    assert (counts.rows[uk, "all"], counts.known_rows, counts.events) == (10, 7, {"call.created": 2})
    counts.forget([])
    assert (counts.polls, counts.rows, counts.outcomes) == ({}, {}, {"ok": 1})


def test_lags_by_bounds() -> None:
    """Each lag counts below the bound that it did not exceed, as its bucket tells it."""
    histogram = Histogram()
    for lag_ms in (0, 10, 11, 900, 5000):
        histogram.add(lag_ms)
    assert histogram.by_bounds([10, 1000, 2000]) == [2, 2, 0, 1]
