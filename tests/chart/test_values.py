"""Values: which exist, what they may be, and what helm says of wrong ones."""

import json
from typing import Any

import jsonschema_rs
import pytest
import yaml

from relay.cli.configuration import CHART_ADDRESSES, render_chart_addresses
from tests.chart import readme
from tests.chart.rendering import CHART, Object, RefusedError, helm, render
from tests.chart.tools import ROOT

NEEDED = {"RELAY_ADMIN_KEY": "k" * 16, "RELAY_ENCRYPTION_KEY": "A" * 43 + "="}
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
KEYS = {"adminKey": "an-example-of-a-key", "encryptionKey": "A" * 43 + "="}

UNKNOWN = "not allowed"
"""What helm says of a name that does not exist, at the object that has it."""
WRONG: list[tuple[str, Any, str]] = [
    ("replicas", 2, UNKNOWN),
    ("api.replica", 2, UNKNOWN),
    ("api.replicas", "2", "got string, want integer"),
    ("api.replicas", -1, "minimum: got -1, want 0"),
    ("api.port", 80, "minimum: got 80, want 1,024"),
    ("worker.port", 70000, "maximum: got 70,000, want 65,535"),
    ("api.resources", {"request": {}}, "additional properties 'request' not allowed"),
    ("worker.resources", {"limits": {"memory": "512 MB"}}, "'512 MB' does not match pattern"),
    ("api.livenessProbe", {"http": {}}, "additional properties 'http' not allowed"),
    ("worker.strategy", {"type": "Rolling"}, "value must be one of 'RollingUpdate', 'Recreate'"),
    ("worker.terminationGracePeriodSeconds", "45s", "got string, want integer"),
    ("api.autoscaling.maxReplicas", 0, "minimum: got 0, want 1"),
    ("worker.autoscaling.queries.lag.threshold", "many", "'many' does not match pattern"),
    ("worker.autoscaling.query", "up", UNKNOWN),
    ("worker.autoscaling.serverAddress", "prometheus:9090", "'prometheus:9090' does not match pattern"),
    ("worker.podDisruptionBudget.maxUnavailable", "half", "'half' does not match pattern"),
    ("common.extraEnv", {"A": "b"}, "got object, want array"),
    ("api.extraEnv", [{"name": "A", "value": 1}], "got number, want string"),
    ("worker.extraVolumeMounts", [{"name": "a", "mountPath": "b"}], "'b' does not match pattern"),
    ("commonLabels", {"team": "not a label"}, "'not a label' does not match pattern"),
    ("common.tolerations", [{"effect": "Never"}], "value must be one of '', 'NoSchedule'"),
    ("settings.RELAY_LOG_FORMATS", "json", UNKNOWN),
    ("settings.RELAY_RETENTION_SECONDS", 86400, "got number, want string"),
    ("settings.RELAY_ADMIN_KEY", "k" * 16, UNKNOWN),
    ("settings.RELAY_PORT", "80", UNKNOWN),
    ("secret.adminKey", "short", "'short' does not match pattern"),
    ("secret.encryptionKey", "not base64", "'not base64' does not match pattern"),
    ("secret.redisUrl", "redis:6379", "'redis:6379' does not match pattern"),
    ("existingSecret", "My Secret", "'My Secret' does not match pattern"),
    ("fullnameOverride", "Relay_1", "'Relay_1' does not match pattern"),
    ("image.digest", "sha256:abc", "'sha256:abc' does not match pattern"),
    ("image.repository", "", "minLength: got 0, want 1"),
    ("image.pullPolicy", "Sometimes", "value must be one of 'Always', 'IfNotPresent', 'Never'"),
    ("service.type", "ExternalName", "value must be one of 'ClusterIP', 'NodePort', 'LoadBalancer'"),
    ("ingress.hosts", ["relay.example.com"], "got string, want object"),
    ("httpRoute.parentRefs", [{"namespace": "gateways"}], "missing property 'name'"),
    ("networkPolicy.redis.ports", [], "minItems: got 0, want 1"),
    ("networkPolicy.api.peers", [{"ipBlocks": {}}], "additional properties 'ipBlocks' not allowed"),
    ("metrics.serviceMonitor.interval", "often", "'often' does not match pattern"),
    ("settings.RELAY_TRACING", "otlp", UNKNOWN),
    ("tracing.endpoint", "collector:4318", "'collector:4318' does not match pattern"),
    ("tracing.sampleRatio", 2, "maximum: got 2, want 1"),
    ("tracing.env.OTEL_BSP_MAX_QUEUE_SIZE", 4096, "got number, want string"),
    ("common.dnsPolicy", "Cluster", "value must be one of '', 'ClusterFirst', 'Default', 'None'"),
    ("valkey.maxmemory", "lots", "'lots' does not match pattern"),
    ("valkey.appendfsync", "no", "value must be one of 'everysec', 'always'"),
    ("valkey.password", "with a space in it", "'with a space in it' does not match pattern"),
    ("valkey.persistence.size", "4 GB", "'4 GB' does not match pattern"),
    ("extraObjects", [{"kind": "ConfigMap"}], "missing properties 'apiVersion', 'metadata'"),
]
CLASHES: list[tuple[Object, str]] = [
    ({"existingSecret": ""}, "RELAY_ADMIN_KEY is required. Create a Secret as docs/kubernetes.md describes"),
    ({"secret": {"adminKey": KEYS["adminKey"]}}, "RELAY_ENCRYPTION_KEY is required."),
    ({"secret": KEYS}, "RELAY_REDIS_URL is required, because the image has no Redis."),
    ({"existingSecret": "relay", "secret": KEYS}, "existingSecret and secret.adminKey, secret.encryptionKey exclude"),
    ({"valkey": {"enabled": True}}, "valkey.enabled requires a password"),
    (
        {"secret": {**KEYS, "redisUrl": "redis://a"}, "valkey": {"enabled": True, "password": "x" * 16}},
        "valkey.enabled and secret.redisUrl exclude each other",
    ),
    (
        {"valkey": {"enabled": True, "password": "x" * 16, "existingSecret": "a"}},
        "valkey.existingSecret and valkey.password exclude each other",
    ),
    ({"api": {"autoscaling": {"minReplicas": 7}}}, "api.autoscaling.minReplicas (7) must not be above maxReplicas (6)"),
    (
        {"api": {"autoscaling": {"enabled": True, "targetCPUUtilizationPercentage": 0}}},
        "api.autoscaling.enabled requires a target",
    ),
    (
        {"metrics": {"enabled": False}, "worker": {"autoscaling": {"enabled": True, "serverAddress": "http://a"}}},
        "worker.autoscaling.enabled requires metrics.enabled, because KEDA scales by a metric",
    ),
    (
        {"worker": {"autoscaling": {"enabled": True}}},
        "requires worker.autoscaling.serverAddress, the URL of Prometheus",
    ),
    (
        {"worker": {"podDisruptionBudget": {"minAvailable": 1, "maxUnavailable": 1}}},
        "worker.podDisruptionBudget.maxUnavailable and minAvailable exclude each other",
    ),
    (
        {"worker": {"podDisruptionBudget": {"minAvailable": 2}}},
        "minAvailable (2) must be below the smallest number of pods (2), or no node can be drained",
    ),
    ({"metrics": {"enabled": True}, "api": {"port": 9464}}, "api.port and metrics.port are both 9464"),
    (
        {"worker": {"terminationGracePeriodSeconds": 20}},
        "(20) must be at least RELAY_ATTEMPT_TIMEOUT_SECONDS + 10 (30), or workers are killed",
    ),
    (
        {"api": {"terminationGracePeriodSeconds": 10}},
        "(10) must be at least api.preStopSeconds + RELAY_SHUTDOWN_DELAY_SECONDS + 14 (19)",
    ),
    ({"tracing": {"enabled": True}}, "tracing.enabled requires tracing.endpoint, the URL of a collector"),
    (
        {"tracing": {"enabled": True, "endpoint": "http://a", "env": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://b"}}},
        "tracing.endpoint and tracing.env.OTEL_EXPORTER_OTLP_ENDPOINT exclude each other",
    ),
    ({"common": {"dnsPolicy": "None"}}, "common.dnsPolicy None requires common.dnsConfig.nameservers"),
    ({"common": {"podLabels": {"app.kubernetes.io/name": "x"}}}, "common.podLabels: the chart sets the label app.kub"),
    ({"ingress": {"enabled": True}}, "ingress.enabled requires ingress.hosts"),
    ({"httpRoute": {"enabled": True}}, "httpRoute.enabled requires httpRoute.parentRefs"),
    ({"service": {"nodePort": 30080}}, "service.nodePort requires service.type NodePort or LoadBalancer"),
    (
        {"metrics": {"enabled": False, "serviceMonitor": {"enabled": True}}},
        "metrics.serviceMonitor.enabled requires metrics.enabled",
    ),
    ({"settings": {"RELAY_EGRESS_ALLOW": "10.0.0.0/8,crm"}}, 'settings.RELAY_EGRESS_ALLOW: "crm" is not a network'),
    ({"settings": {"RELAY_EGRESS_PORTS": "https"}}, 'settings.RELAY_EGRESS_PORTS: "https" is not a port'),
    (
        {"checkpoint": {"existingClaim": "a"}, "settings": {"RELAY_CHECKPOINT_URL": "s3://a"}},
        "checkpoint.existingClaim and settings.RELAY_CHECKPOINT_URL exclude each other",
    ),
    (
        {"egressCa": {"existingConfigMap": "a", "existingSecret": "b"}},
        "egressCa.existingConfigMap and egressCa.existingSecret exclude each other",
    ),
]


def test_the_schema_refuses_wrong_values() -> None:
    """Each with the path of the value, and what is wrong with it. helm reports them all at once."""
    assert len(WRONG) + len(CLASHES) >= 30
    batches: list[Object] = []
    for path, value, _ in WRONG:
        _put(batches, path.split("."), value)
    said = "\n".join(_refusal(batch) for batch in batches)
    missing = [(path, text) for path, _, text in WRONG if not _says(said, path, text)]
    assert missing == [], said


def _put(batches: list[Object], path: list[str], value: Any) -> None:
    """Into the first set of values that has nothing at this path yet."""
    for batch in [*batches, {}]:
        at = batch
        for part in path[:-1]:
            at = at.setdefault(part, {})
        if isinstance(at, dict) and path[-1] not in at:
            at[path[-1]] = value
            if batch not in batches:
                batches.append(batch)
            return


def _refusal(values: Object) -> str:
    with pytest.raises(RefusedError) as refused:
        render(values)
    return str(refused.value)


def _says(said: str, path: str, text: str) -> bool:
    parts = path.split(".")
    place = "/".join(["", *(parts[:-1] if text == UNKNOWN else parts)])
    name = f"'{parts[-1]}'" if text == UNKNOWN else ""
    return any(text in line and f"'{place}" in line and name in line for line in said.splitlines())


@pytest.mark.parametrize(("values", "text"), CLASHES)
def test_contradictions_are_refused(values: Object, text: str) -> None:
    """What a schema cannot know, with what to do instead."""
    assert text in _refusal(values)


def test_the_schema_knows_every_value_and_no_other() -> None:
    """Each default fits, and each name in the schema is one in values.yaml."""
    assert jsonschema_rs.validator_for(SCHEMA).is_valid(DEFAULTS)
    known = {path for path in _names(SCHEMA) if not path.startswith(("settings.", "global"))}
    assert known - _paths(DEFAULTS) == set()


def _names(schema: Object, path: str = "") -> list[str]:
    """The paths of all values in the chart's own objects; what has the form of a Kubernetes object is behind a $ref."""
    names = []
    for name, inner in schema.get("properties", {}).items():
        names += [f"{path}{name}", *_names(inner, f"{path}{name}.")]
    return names


def _paths(values: Object, path: str = "") -> set[str]:
    found = set()
    for name, value in values.items():
        found.add(f"{path}{name}")
        if isinstance(value, dict):
            found |= _paths(value, f"{path}{name}.")
    return found


def test_no_object_of_the_schema_takes_other_names() -> None:
    """`additionalProperties` is false wherever the names are known."""
    assert [path for path in _open(SCHEMA) if path != "/properties/global"] == []


def _open(schema: Any, path: str = "") -> list[str]:
    if not isinstance(schema, dict):
        return []
    here = [path] if "properties" in schema and schema.get("additionalProperties") is not False else []
    inner = [each for name, value in schema.items() for each in _open(value, f"{path}/{name}")]
    return here + inner


def test_the_addresses_of_the_chart_are_current() -> None:
    """They are those of the guard: run `python -m relay.cli.configuration` after a change."""
    assert (ROOT / CHART_ADDRESSES).read_text() == render_chart_addresses()


def test_the_readme_is_current() -> None:
    """It has every value: run `make chart` after a change."""
    assert readme.PAGE.read_text() == readme.render()


def test_every_value_is_described() -> None:
    """By a comment that begins with `# --`, on it or on an object that contains it."""
    assert readme.undescribed() == []


def test_the_chart_can_be_packed(tmp_path: Any) -> None:
    """What is packed renders as the folder does, so no file that templates read is left out."""
    helm("package", str(CHART), "--destination", str(tmp_path))
    (archive,) = tmp_path.glob("*.tgz")
    values = str(CHART.parent / "tests/chart/values/everything.yaml")
    packed = helm("template", "events", str(archive), "-f", values)
    assert packed == helm("template", "events", str(CHART), "-f", values)
