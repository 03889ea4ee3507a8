"""Every set of values in tests/chart/values gives objects that Kubernetes accepts, and that keep what we promise."""

import json
from collections import Counter

import pytest
import yaml

from tests.chart.rendering import (
    CHART,
    FOLDER,
    NEWEST,
    OLDEST,
    SETS,
    Object,
    helm,
    one,
    pod_specs,
    render,
    rendered,
    text_of,
)
from tests.chart.schemas import faults

SLEEPS_SINCE = 30
"""Kubernetes 1.30 has a native sleep for preStop. Nothing else in the chart depends on the version."""


@pytest.mark.parametrize("name", SETS)
def test_objects_are_valid(name: str) -> None:
    """Strictly: no unknown field, for each version of Kubernetes that the chart supports."""
    assert _faults(rendered(name), OLDEST) == []


def test_objects_of_newer_versions_are_valid() -> None:
    """The chart renders other objects from Kubernetes 1.30 on."""
    assert rendered("everything", SLEEPS_SINCE - 1) == rendered("everything", OLDEST)
    assert rendered("everything", SLEEPS_SINCE) == rendered("everything", NEWEST) != rendered("everything", OLDEST)
    assert _faults(rendered("everything", NEWEST), SLEEPS_SINCE) == []


def _faults(objects: tuple[Object, ...], oldest: int) -> list[str]:
    return [
        f"1.{minor} {each['kind']} {each['metadata']['name']} {fault}"
        for minor in range(oldest, NEWEST + 1)
        for each in objects
        for fault in faults(each, minor)
    ]


def test_the_validation_finds_faults() -> None:
    """A field that is newer than the version, unknown fields, also of a custom resource, and a wrong type."""
    objects = rendered("everything", NEWEST)
    deployment, monitor = one(objects, "Deployment", "-api"), one(objects, "ServiceMonitor")
    assert faults(deployment, OLDEST) != []
    assert faults({**deployment, "spec": {**deployment["spec"], "replica": 2}}, 37) != []
    assert faults({**deployment, "spec": {**deployment["spec"], "minReadySeconds": "2"}}, 37) != []
    assert faults({**monitor, "spec": {**monitor["spec"], "endpoint": []}}, 37) != []


def test_there_are_enough_sets_and_kinds() -> None:
    """Together the sets use every template."""
    assert len(SETS) >= 12
    assert len({each["kind"] for name in SETS for each in rendered(name)}) >= 15
    files = {path.relative_to(CHART).as_posix() for path in CHART.glob("templates/**/*.yaml")}
    text = "".join(text_of(name, OLDEST) for name in SETS)
    assert [file for file in files if f"/{file}\n" not in text] == []


@pytest.mark.parametrize("name", ["existing-secret", "small", "everything"])
def test_lint_finds_nothing(name: str) -> None:
    """helm's own rules, strictly."""
    helm("lint", "--strict", str(CHART), "-f", str(FOLDER / f"{name}.yaml"))


@pytest.mark.parametrize("name", SETS)
def test_names_are_unique(name: str) -> None:
    """Two objects of one kind never have one name, every name fits its limit, and every object has its namespace."""
    names = Counter((each["kind"], each["metadata"]["name"]) for each in rendered(name))
    assert [key for key, times in names.items() if times > 1] == []
    assert all(len(each["metadata"]["name"]) <= 63 for each in rendered(name))
    places = {each["metadata"].get("namespace") for each in rendered(name)}
    assert places <= ({"crm", "monitoring"} if name == "monitoring" else {"crm", None} if name == "extras" else {"crm"})


@pytest.mark.parametrize("name", SETS)
def test_pods_are_restricted(name: str) -> None:
    """Pod Security Standard `restricted`, with uid 10001, a read-only root file system, and no token of Kubernetes."""
    for spec in pod_specs(rendered(name)):
        assert spec["automountServiceAccountToken"] is False
        context = spec["securityContext"]
        assert (context["runAsNonRoot"], context["runAsUser"]) == (True, 10001)
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        allowed = {"emptyDir", "configMap", "secret", "persistentVolumeClaim"}
        assert all(volume.keys() - {"name"} <= allowed for volume in spec.get("volumes", []))
        for container in spec["containers"] + spec.get("initContainers", []):
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", SETS)
def test_selectors_find_pods(name: str) -> None:
    """Each Service, budget and policy selects the pods of exactly one component; a workload selects its own."""
    objects = rendered(name)
    pods = [each["spec"]["template"]["metadata"]["labels"] for each in objects if "template" in each.get("spec", {})]
    pods += [each["metadata"]["labels"] for each in objects if each["kind"] == "Pod"]
    for selector in filter(None, map(_selector, objects)):
        found = [labels for labels in pods if selector.items() <= labels.items()]
        assert len(found) == 1, selector


def _selector(each: Object) -> dict[str, str] | None:
    spec = each.get("spec", {})
    if each["kind"] == "Service":
        return dict(spec["selector"])
    if each["kind"] in ("Deployment", "StatefulSet", "PodDisruptionBudget"):
        return dict(spec["selector"]["matchLabels"])
    return dict(spec["podSelector"]["matchLabels"]) if each["kind"] == "NetworkPolicy" else None


def test_dashboards_are_for_grafana() -> None:
    """Each file is a ConfigMap with the label that Grafana's sidecar looks for, and unchanged JSON in it."""
    files = {path.name: json.loads(path.read_text()) for path in CHART.glob("files/dashboards/*.json")}
    maps = [each for each in rendered("everything") if each["metadata"]["labels"].get("grafana_dashboard") == "1"]
    assert {name: json.loads(text) for each in maps for name, text in each["data"].items()} == files


def test_notes_name_what_was_installed() -> None:
    """The text after an installation has the names of this release, and warns of keys in values."""
    text = helm("install", "events", str(CHART), "--dry-run=client", "-f", str(FOLDER / "trial.yaml"))
    notes = text.partition("NOTES:")[2]
    assert "port-forward service/events-infinity-event-relay 8080:80" in notes
    assert "WARNING: The keys come from values" in notes


def test_alerts_are_those_of_the_file() -> None:
    """Unchanged, unless values leave one out, add labels, or complete the links to the runbook."""
    groups = yaml.safe_load((CHART / "files/alerts.yaml").read_text())["groups"]
    assert one(rendered("everything"), "PrometheusRule")["spec"]["groups"] == groups
    alerts = [rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule]
    rule = {"enabled": True, "disabled": alerts[:1], "ruleLabels": {"team": "crm"}, "runbookPrefix": "https://git/"}
    shown = one(render({"metrics": {"enabled": True, "prometheusRule": rule}}), "PrometheusRule")["spec"]["groups"]
    rules = [rule for group in shown for rule in group["rules"] if "alert" in rule]
    assert [rule["alert"] for rule in rules] == alerts[1:]
    assert all(rule["labels"]["team"] == "crm" and "severity" in rule["labels"] for rule in rules)
    assert all(rule["annotations"]["runbook_url"].startswith("https://git/docs/runbook.md#") for rule in rules)
