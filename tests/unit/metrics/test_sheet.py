"""The sheet, and the names that have series of their own."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from relay.domain.model import EndpointId, SourceUid
from relay.metrics.naming import MOST_ENDPOINTS, Folded, Named
from relay.metrics.sheet import ROWS_AT_ONCE, Sheet
from relay.metrics.table import METRICS


async def test_what_is_put_is_written() -> None:
    """In the text format, also where a metric is written in several steps, and labels have odd characters."""
    sheet = Sheet()
    for number in range(2 * ROWS_AT_ONCE + 1):
        sheet.put("relay_endpoint_attempts_total", number, f'ep "{number}"\\\n', "success")
    sheet.put_histogram("relay_attempt_duration_seconds", [0.5, 1.0], [1, 2, 3], 7.5)
    text = (await sheet.text()).decode()
    attempts, durations = text_string_to_metric_families(text)
    assert [(each.labels["endpoint_id"], each.value) for each in attempts.samples] == [
        (f'ep "{number}"\\\n', number) for number in range(2 * ROWS_AT_ONCE + 1)
    ]
    assert attempts.type == "counter"
    assert [each.value for each in durations.samples] == [1, 3, 6, 6, 7.5]
    assert text.count("# TYPE ") == 2


def test_what_is_not_in_the_table_is_refused() -> None:
    """So no metric is forgotten in the documents."""
    with pytest.raises(KeyError):
        Sheet().put("relay_secret_total", 1)
    with pytest.raises(ValueError, match="has the labels"):
        Sheet().put("relay_attempts_total", 1)


def test_names_follow_the_conventions() -> None:
    """One prefix, base units, and `_total` for counters alone."""
    for metric in METRICS:
        assert metric.name.startswith("relay_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert not metric.name.endswith(("_ms", "_milliseconds", "_percent", "_minutes"))
        assert metric.help.endswith(".")
        assert bool(metric.labels) == bool(metric.values)
        # Prometheus's operator gives these to targets, and renames ours.
        assert not set(metric.labels) & {
            "endpoint",
            "service",
            "pod",
            "container",
            "namespace",
            "job",
            "instance",
            "node",
        }


def test_there_are_at_most_so_many_names() -> None:
    """What is beyond counts as `other`."""
    endpoints = [EndpointId(f"ep_{number:05}") for number in range(MOST_ENDPOINTS + 2)]
    named = Named(endpoints, [SourceUid("a")], {})
    assert named.endpoint(endpoints[0]) == endpoints[0]
    assert named.endpoint(endpoints[-1]) == "other"
    assert named.stream(SourceUid("b")) == "other"


def test_counts_of_endpoints_only_grow() -> None:
    """Also those of `other`, when an endpoint of it gets a name because another one was deleted."""
    folded, first, last = Folded(), EndpointId("a"), EndpointId("b")
    assert folded.take_in({first: 2, last: 3}, Named([first], [], {})) == {"a": 2, "other": 3}
    assert folded.take_in({last: 4}, Named([last], [], {})) == {"b": 1, "other": 3}
    assert folded.take_in({last: 9}, Named([last], [], {})) == {"b": 6, "other": 3}
