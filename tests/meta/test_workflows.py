"""The workflows have few rights, run nobody else's code by a name that can move, and are kept up to date."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.y*ml"))
RENOVATE = json.loads((ROOT / ".github/renovate.json").read_text())
Job = dict[str, Any]
PINNED = re.compile(r"\s*(?:- )?uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+\n")
UNTRUSTED = re.compile(r"\$\{\{")
WRITES = {"publish": {"packages", "id-token", "attestations"}, "announce": {"contents"}}
"""The jobs that may write, and what."""


def workflow(path: Path) -> dict[Any, Any]:
    """A workflow as YAML reads it: the key `on` is True."""
    found: dict[Any, Any] = yaml.safe_load(path.read_text())
    return found


def jobs(path: Path) -> dict[str, Job]:
    """Its jobs by their names."""
    found: dict[str, Job] = workflow(path)["jobs"]
    return found


def steps(path: Path) -> list[dict[str, Any]]:
    """All steps of its jobs."""
    return [step for job in jobs(path).values() for step in job.get("steps", [])]


def test_there_is_one_for_each_purpose() -> None:
    """A release calls the others, so nothing is released that they would refuse."""
    assert {path.stem for path in WORKFLOWS} == {"test", "chart", "image", "audit", "release"}
    called = {job["uses"] for job in jobs(ROOT / ".github/workflows/release.yaml").values() if "uses" in job}
    assert called == {f"./.github/workflows/{name}.yaml" for name in ("test", "chart", "image", "audit")}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_pinned(path: Path) -> None:
    """By the SHA of a commit, with the version that it is in a comment."""
    uses = [line for line in path.read_text().splitlines(keepends=True) if re.match(r"\s*(- )?uses:", line)]
    foreign = [line for line in uses if "uses: ./" not in line]
    assert foreign
    assert [line for line in foreign if not PINNED.fullmatch(line)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_job_has_the_rights_that_it_needs(path: Path) -> None:
    """None by default. Only the two last jobs of a release can write."""
    assert workflow(path)["permissions"] == {}
    for name, job in jobs(path).items():
        writes = {scope for scope, level in job["permissions"].items() if level != "read"}
        assert writes == (WRITES.get(name, set()) if path.stem == "release" else set()), name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_job_runs_for_ever_or_twice(path: Path) -> None:
    """Every job has a time limit, and a newer run replaces the one before or waits for it."""
    assert workflow(path)["concurrency"]["group"]
    assert [name for name, job in jobs(path).items() if "uses" not in job and "timeout-minutes" not in job] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_nothing_from_outside_is_run(path: Path) -> None:
    """No expression stands in a script, no pull request gets rights, and no step leaves credentials behind."""
    assert {"pull_request_target", "workflow_run", "issue_comment"} & set(workflow(path)[True]) == set()
    assert [step["run"] for step in steps(path) if UNTRUSTED.search(step.get("run", ""))] == []
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_the_sbom_is_made_with_the_python_of_the_image() -> None:
    """An update of one of them alone would describe other packages than the image has."""
    base = re.search(r"^ARG BASE=python:(\d+\.\d+)-slim$", (ROOT / "Dockerfile").read_text(), re.M)
    assert base is not None
    release = ROOT / ".github/workflows/release.yaml"
    assert jobs(release)["build"]["container"] == f"python:{base[1]}"
    assert f"docker pull --quiet python:{base[1]}-slim" in release.read_text()


def test_updates_reach_every_lock_file() -> None:
    """Renovate knows requirements/*.txt, which have names of their own, and every other place with versions."""
    (pattern,) = RENOVATE["pip_requirements"]["managerFilePatterns"]
    files = [path.relative_to(ROOT).as_posix() for path in ROOT.glob("requirements/*.txt")]
    assert files
    assert [file for file in files if not re.search(pattern.strip("/"), file)] == []
    managers = {"pep621", "pip_requirements", "github-actions", "dockerfile", "helm-values", "custom.regex"}
    assert managers <= set(RENOVATE["enabledManagers"])


def test_updates_reach_what_workflows_run_by_name() -> None:
    """The version of actionlint, which is a program and not an action."""
    (manager,) = RENOVATE["customManagers"]
    (expression,) = manager["matchStrings"]
    text = (ROOT / ".github/workflows/test.yaml").read_text()
    assert re.search(expression.replace("(?<", "(?P<"), text)
