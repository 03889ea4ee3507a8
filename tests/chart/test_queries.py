"""What KEDA asks Prometheus for exists."""

import re

import pytest
import yaml

from relay.metrics import table
from tests.chart.rendering import CHART

QUERIES = yaml.safe_load((CHART / "values.yaml").read_text())["worker"]["autoscaling"]["queries"]


@pytest.mark.parametrize("name", QUERIES)
def test_workers_scale_by_metrics_of_the_relay(name: str) -> None:
    """Each name in a query is a metric of workers."""
    asked = set(re.findall(r"relay_\w+", QUERIES[name]["query"]))
    assert asked
    assert {metric for metric in asked if metric in table.BY_NAME and table.BY_NAME[metric].of == "worker"} == asked
