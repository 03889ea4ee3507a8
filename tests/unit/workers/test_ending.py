"""How a worker ends."""

from relay.config import load
from workers.ending import drain_s, longest_end_s

NEEDED = {"RELAY_ADMIN_KEY": "k" * 16, "RELAY_ENCRYPTION_KEY": "A" * 43 + "="}


def test_the_drain_follows_the_deadline_of_an_attempt() -> None:
    """A worker that is told to end waits for an attempt that may take longer than 20 s."""
    waits = [drain_s(load({**NEEDED, "RELAY_ATTEMPT_TIMEOUT_SECONDS": text})) for text in ("", "2.5", "60")]
    assert waits == [21.0, 3.5, 61.0]


def test_a_worker_ends_within_the_least_grace_that_the_chart_allows() -> None:
    """The chart refuses a grace period below RELAY_ATTEMPT_TIMEOUT_SECONDS + 10."""
    for text in ("0.5", "20", "120"):
        settings = load({**NEEDED, "RELAY_ATTEMPT_TIMEOUT_SECONDS": text})
        assert longest_end_s(settings) < settings.attempt_timeout_seconds + 10
