"""A sheet: the samples of one answer, gathered metric by metric, and written in Prometheus's text format."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family

from relay.metrics.table import BY_NAME, Metric

ROWS_AT_ONCE = 200
"""Samples that are written before others get their turn: a millisecond."""
Labels = tuple[str, ...]


class Sheet:
    """Samples by metric. A metric or a label that the table does not have is a KeyError or a ValueError."""

    def __init__(self) -> None:
        self._numbers: dict[str, list[tuple[Labels, float]]] = {}
        self._histograms: dict[str, list[tuple[Labels, list[tuple[str, float]], float]]] = {}

    def put(self, name: str, value: float, *labels: str) -> None:
        """Add a sample of a counter or a gauge, with the values of its labels in the order of the table."""
        _check(BY_NAME[name], labels)
        self._numbers.setdefault(name, []).append((labels, value))

    def put_histogram(
        self, name: str, bounds: Sequence[float], counts: Sequence[int], total: float, *labels: str
    ) -> None:
        """Add a histogram. `counts` has one number more than `bounds`, for what exceeds all; `total` is the sum."""
        _check(BY_NAME[name], labels)
        buckets, so_far = [], 0
        for bound, count in zip([*map(repr, bounds), "+Inf"], counts, strict=True):
            so_far += count
            buckets.append((bound, float(so_far)))
        self._histograms.setdefault(name, []).append((labels, buckets, total))

    def add(self, other: "Sheet") -> None:
        """Add the metrics of another sheet, which this one does not have."""
        self._numbers |= other._numbers
        self._histograms |= other._histograms

    async def text(self) -> bytes:
        """All samples in the text format 0.0.4. Other work of the process gets its turn in between."""
        parts = []
        for name in (*self._numbers, *self._histograms):
            for first, family in enumerate(self._families(BY_NAME[name])):
                written = generate_latest(_One(family))
                # The two lines about a metric stand before its first sample only.
                parts.append(written if first == 0 else written.split(b"\n", 2)[2])
                await asyncio.sleep(0)
        return b"".join(parts)

    def _families(self, metric: Metric) -> Iterator[Family]:
        if metric.kind == "histogram":
            histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, buckets, total in self._histograms[metric.name]:
                histogram.add_metric(labels, buckets, total)
            yield histogram
            return
        samples = self._numbers[metric.name]
        for first in range(0, len(samples), ROWS_AT_ONCE):
            family = (CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily)(
                metric.name, metric.help, labels=metric.labels
            )
            for labels, value in samples[first : first + ROWS_AT_ONCE]:
                family.add_metric(labels, value)
            yield family


class _One:
    """A registry of one metric."""

    def __init__(self, family: Family) -> None:
        self._family = family

    def collect(self) -> Iterable[Family]:
        """What prometheus_client asks for."""
        return (self._family,)


def _check(metric: Metric, labels: Labels) -> None:
    if len(labels) != len(metric.labels):
        raise ValueError(f"{metric.name} has the labels {metric.labels}")
