"""Without helm the tests of the chart cannot run. The last lines say so, or all fail (RELAY_TEST_HELM=required)."""

import os

import pytest

from tests.chart.tools import MISSING, find_helm, find_schemas


@pytest.fixture(autouse=True)
def helm_is_here() -> None:
    """Skip, or fail if it is required, what needs helm or the schemas and has none."""
    if find_helm() and find_schemas():
        return
    if os.environ.get("RELAY_TEST_HELM") == "required":
        pytest.fail(MISSING)
    pytest.skip(MISSING)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """pytest -q says nothing of skipped tests."""
    if not (find_helm() and find_schemas()):
        terminalreporter.write_line(f"WARNING: {MISSING}", yellow=True, bold=True)
