"""The documents show commands and values that work."""

import re
import shlex

import pytest
import yaml

from tests.chart.rendering import CHART, helm, one, render
from tests.chart.tools import ROOT

PAGES = ("README.md", "docs/kubernetes.md", "helm/README.md")
COMMANDS = [
    (page, command)
    for page in PAGES
    for command in re.findall(r"helm (?:--namespace \w+ )?install relay [^`\n]+", (ROOT / page).read_text())
]
KEYS = {"RELAY_REDIS_URL", "RELAY_ADMIN_KEY", "RELAY_ENCRYPTION_KEY"}


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_the_commands_install_the_chart(page: str, command: str) -> None:
    """`helm template` accepts the same arguments."""
    words = shlex.split(command)[1:]
    words[words.index("install")] = "template"
    words[words.index("./helm")] = str(CHART)
    assert "kind: Deployment" in helm(*words), page


def test_each_page_has_a_command() -> None:
    """So the test above has something to check."""
    assert {page for page, _ in COMMANDS} == set(PAGES)


def test_the_example_of_values_is_accepted() -> None:
    """With everything that a production needs."""
    example, declared, traces = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/kubernetes.md").read_text(), re.DOTALL)
    assert "RELAY_TRACING" in one(render(yaml.safe_load(traces)), "ConfigMap")["data"]
    assert "Job" in {each["kind"] for each in render(yaml.safe_load(declared))}
    kinds = {each["kind"] for each in render(yaml.safe_load(example))}
    assert {"HorizontalPodAutoscaler", "ScaledObject", "PodDisruptionBudget", "NetworkPolicy", "Ingress"} <= kinds


@pytest.mark.parametrize("page", ["docs/kubernetes.md", "helm/README.md"])
def test_the_secret_has_what_pods_need(page: str) -> None:
    """`kubectl create secret` names every required key, in one command."""
    commands = re.findall(r"create secret generic relay (?:.*\\\n)*.*", (ROOT / page).read_text())
    assert [set(re.findall(r"--from-literal=(RELAY_\w+)=", command)) for command in commands] == [KEYS]


def test_values_that_documents_name_exist() -> None:
    """A renamed value leaves no page behind."""
    known = {row.partition("`")[0] for row in re.findall(r"^\| `([^`]+)` \|", (CHART / "README.md").read_text(), re.M)}
    groups = {name.partition(".")[0] for name in known}
    text = (ROOT / "docs/kubernetes.md").read_text()
    named = set(re.findall(r"`((?:" + "|".join(sorted(groups)) + r")\.[A-Za-z.]+)", text))
    assert [
        name
        for name in named - {"reloader.stakater.com"}
        if not any(f"{each}.".startswith(f"{name}.") for each in known)
    ] == []
