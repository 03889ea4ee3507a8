"""A release has one version."""

import pytest

from tests.release import version

PROJECT = '[project]\nname = "relay"\nversion = "1.2.3"\n'
CHART = 'apiVersion: v2\nname: relay\nversion: 1.2.3\nappVersion: "1.2.3"\n'
CHANGELOG = """# Changelog

## [Unreleased]

## [1.2.3] - 2026-12-01

### Added

- A thing.

## [1.2.2] - 2026-11-01

- Older.
"""


def test_a_tag_that_all_files_agree_with_is_released() -> None:
    """With the entries of the changelog as its notes."""
    assert version.faults("v1.2.3", project=PROJECT, chart=CHART, changelog=CHANGELOG) == []
    assert version.notes(CHANGELOG, "1.2.3") == "### Added\n\n- A thing."


@pytest.mark.parametrize(
    ("tag", "project", "chart", "changelog", "said"),
    [
        ("1.2.3", PROJECT, CHART, CHANGELOG, "the tag '1.2.3' is not a version: name it like v1.2.3"),
        ("v1.2", PROJECT, CHART, CHANGELOG, "the tag 'v1.2' is not a version"),
        ("v1.2.3", PROJECT.replace("1.2.3", "1.2.2"), CHART, CHANGELOG, "pyproject.toml: project.version is '1.2.2'"),
        ("v1.2.3", PROJECT, CHART.replace('"1.2.3"', "1.2.2"), CHANGELOG, "helm/Chart.yaml: appVersion is '1.2.2'"),
        ("v1.2.3", PROJECT, CHART.replace(" 1.2.3", " 1.2.4"), CHANGELOG, "helm/Chart.yaml: version is '1.2.4'"),
        ("v1.2.3", PROJECT, CHART, CHANGELOG.replace(" - 2026-12-01", ""), "no section `## [1.2.3] - YYYY-MM-DD`"),
        ("v1.2.3", PROJECT, CHART, CHANGELOG.replace("### Added\n\n- A thing.\n", ""), "no section"),
    ],
)
def test_a_file_that_disagrees_stops_the_release(tag: str, project: str, chart: str, changelog: str, said: str) -> None:
    """One message says which, and what to do."""
    (fault,) = version.faults(tag, project=project, chart=chart, changelog=changelog)
    assert said in fault


def test_the_project_and_the_chart_have_one_version() -> None:
    """At every commit, so a release changes the three files together."""
    project = version.tomllib.loads((version.ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = (version.ROOT / "helm/Chart.yaml").read_text()
    assert {version.chart_field(chart, name) for name in ("version", "appVersion")} == {project}
