"""What pods get from values: settings, secrets, grace periods, and who scales them."""

import dataclasses
import json

import pytest

from relay.cli.configuration import CHART_SETS
from relay.config import Settings, load, variable
from relay.observability.otlp import sampled_share
from relay.serving import DRAIN_S, LAST_WORDS_S
from tests.chart.rendering import CHART, NEWEST, SETS, Object, one, pod_specs, render, rendered
from workers.ending import longest_end_s

NAMES = {variable(field.name) for field in dataclasses.fields(Settings)}
SECRET = {
    "adminKey": "an-example-of-a-key",
    "encryptionKey": "A" * 43 + "=",
    "redisUrl": "redis://redis:6379",
    "queueRedisUrl": "redis://queue:6379",
    "egressProxy": "http://proxy:3128",
}
STARTUP_S = 60
METRICS = {"enabled": True}
WORKER = {"enabled": True, "serverAddress": "http://prometheus:9090"}


def pod(objects: tuple[Object, ...], component: str) -> Object:
    """The pod template of a component."""
    return dict(one(objects, "Deployment", f"-{component}")["spec"]["template"])


def container(objects: tuple[Object, ...], component: str) -> Object:
    """The container of the relay in it."""
    return dict(pod(objects, component)["spec"]["containers"][0])


def test_every_setting_can_be_set() -> None:
    """By `settings`, by the Secret, or because the chart sets it; and each one by extraEnv."""
    settings = {variable(name) for name in ("checkpoint_url", "egress_ca_file")}
    schema = json.loads((CHART / "values.schema.json").read_text())
    settings |= schema["properties"]["settings"]["properties"].keys()
    secrets = one(render({"secret": SECRET}), "Secret")["stringData"].keys()
    by_chart = {variable(name) for name in CHART_SETS}
    assert settings | secrets | by_chart >= NAMES
    assert settings | secrets <= NAMES
    assert not settings & secrets
    env = [{"name": name, "value": "x"} for name in sorted(NAMES)]
    objects = render({"common": {"extraEnv": env}})
    for component in ("api", "worker"):
        assert container(objects, component)["env"] == env


def test_the_relay_accepts_what_it_gets() -> None:
    """The ConfigMap and the Secret together are settings with which the relay starts."""
    objects = render({"secret": SECRET, "settings": {"RELAY_LOG_LEVEL": "debug"}})
    data = {**one(objects, "ConfigMap")["data"], **one(objects, "Secret")["stringData"]}
    settings = load(data)
    assert (settings.port, settings.worker_port, settings.log_level) == (8080, 8081, "debug")


@pytest.mark.parametrize(("timeout", "grace"), [("20", 45), ("45.5", 71), ("120", 145), ("0.5", 26)])
def test_workers_may_end_their_attempts(timeout: str, grace: int) -> None:
    """The grace period has room for the longest end of a worker, which follows RELAY_ATTEMPT_TIMEOUT_SECONDS."""
    objects = render({"settings": {"RELAY_ATTEMPT_TIMEOUT_SECONDS": timeout}})
    assert pod(objects, "worker")["spec"]["terminationGracePeriodSeconds"] == grace
    needed = {"RELAY_ADMIN_KEY": "k" * 16, "RELAY_ENCRYPTION_KEY": "A" * 43 + "="}
    assert grace > longest_end_s(load({**needed, "RELAY_ATTEMPT_TIMEOUT_SECONDS": timeout}))


@pytest.mark.parametrize("seconds", [0, 5, 60])
def test_the_api_may_end_its_requests(seconds: int) -> None:
    """The grace period has room for preStop and for the drain."""
    objects = render({"api": {"preStopSeconds": seconds}}, minor=NEWEST)
    grace = pod(objects, "api")["spec"]["terminationGracePeriodSeconds"]
    assert grace == seconds + 25 > seconds + DRAIN_S + LAST_WORDS_S
    sleep = container(objects, "api").get("lifecycle", {}).get("preStop", {}).get("sleep")
    assert sleep == ({"seconds": seconds} if seconds else None)


def test_the_grace_period_follows_the_delay_of_the_shutdown() -> None:
    """The API serves on after SIGTERM for as long as the setting says."""
    objects = render({"settings": {"RELAY_SHUTDOWN_DELAY_SECONDS": "7.5"}, "api": {"preStopSeconds": 0}})
    assert pod(objects, "api")["spec"]["terminationGracePeriodSeconds"] == 8 + 25


def test_an_old_kubernetes_sleeps_without_a_shell() -> None:
    """Before 1.30, Python sleeps: an image without a shell has it too."""
    command = container(rendered("existing-secret"), "api")["lifecycle"]["preStop"]["exec"]["command"]
    assert command == ["python", "-c", "import time; time.sleep(5)"]


def test_autoscalers_own_the_number_of_pods() -> None:
    """A Deployment that an autoscaler scales has no `replicas`, or each upgrade would set them back."""
    objects = rendered("autoscaling")
    for component, kind in (("api", "HorizontalPodAutoscaler"), ("worker", "ScaledObject")):
        deployment = one(objects, "Deployment", f"-{component}")
        assert "replicas" not in deployment["spec"]
        assert one(objects, kind)["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert one(rendered("scheduling"), "Deployment", "-api")["spec"]["replicas"] == 3


def test_traces_go_to_the_collector() -> None:
    """API and workers get OpenTelemetry's variables, and its Secret; the relay reads the share that is sampled."""
    objects = rendered("tracing")
    data = one(objects, "ConfigMap")["data"]
    assert {name: value for name, value in data.items() if "OTEL" in name or "TRAC" in name} == {
        "RELAY_TRACING": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.monitoring.svc:4318",
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.1",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=pre%20production,k8s.cluster.name=eu-1",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_BSP_MAX_QUEUE_SIZE": "4096",
    }
    assert sampled_share(data) == 0.1
    for component in ("api", "worker"):
        assert {"secretRef": {"name": "collector"}} in container(objects, component)["envFrom"]
        rules = one(objects, "NetworkPolicy", f"-{component}")["spec"]["egress"]
        (to,) = [rule["to"] for rule in rules if rule["ports"] == [{"port": 4318}]]
        assert to == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]


def test_without_traces_nothing_speaks_of_them() -> None:
    """No variable, and no way through the network policies."""
    objects = rendered("existing-secret")
    assert not [name for name in one(objects, "ConfigMap")["data"] if "OTEL" in name or "TRAC" in name]
    rules = one(objects, "NetworkPolicy", "-worker")["spec"]["egress"]
    assert {"port": 4318} not in [port for rule in rules for port in rule["ports"]]


@pytest.mark.parametrize("name", SETS)
def test_only_the_api_and_workers_run(name: str) -> None:
    """The chart is for production: it has no sandbox and no receiver."""
    commands = [each["args"] for spec in pod_specs(rendered(name)) for each in spec["containers"] if "args" in each]
    assert sorted(each for each in commands if each[0] != "apply") == [["serve"], ["worker"]]


def test_workers_scale_by_the_lag_of_the_relay() -> None:
    """By queries of Prometheus, which are values and know the namespace."""
    lag, load = one(rendered("everything"), "ScaledObject")["spec"]["triggers"]
    assert lag["metadata"]["query"].startswith('max(relay_oldest_ready_seconds{namespace="crm"})')
    assert load["metadata"]["query"] == 'sum(relay_worker_load_ratio{namespace="crm"})'
    own = {"own": {"query": 'sum(own{instance="{{ .Release.Name }}"})', "threshold": "5"}, "lag": None, "load": None}
    values = {"worker": {"autoscaling": {**WORKER, "queries": own}}, "metrics": METRICS}
    (trigger,) = one(render(values), "ScaledObject")["spec"]["triggers"]
    assert (trigger["name"], trigger["metadata"]["query"]) == ("own", 'sum(own{instance="events"})')


@pytest.mark.parametrize(
    ("part", "budget"),
    [
        ({"replicas": 1}, None),
        ({"replicas": 2}, {"maxUnavailable": 1}),
        ({"replicas": 1, "autoscaling": {**WORKER, "minReplicas": 2}}, {"maxUnavailable": 1}),
        ({"replicas": 5, "autoscaling": {**WORKER, "minReplicas": 1}}, None),
        ({"replicas": 3, "podDisruptionBudget": {"minAvailable": 2}}, {"minAvailable": 2}),
        ({"replicas": 3, "podDisruptionBudget": {"maxUnavailable": "25%"}}, {"maxUnavailable": "25%"}),
        ({"replicas": 3, "podDisruptionBudget": {"maxUnavailable": 0}}, {"maxUnavailable": 0}),
        ({"replicas": 3, "podDisruptionBudget": {"enabled": False}}, None),
    ],
)
def test_budgets_follow_the_autoscaler(part: Object, budget: Object | None) -> None:
    """There is one if the smallest number of pods is two: a budget for one pod would stop every drain of its node."""
    objects = render({"worker": part, "api": {"replicas": 1}, "metrics": METRICS})
    found = [each["spec"] for each in objects if each["kind"] == "PodDisruptionBudget"]
    expected = {"minAvailable", "maxUnavailable"}
    assert [{k: v for k, v in spec.items() if k in expected} for spec in found] == ([budget] if budget else [])


def test_pods_follow_changes_of_settings_and_secrets() -> None:
    """A changed value changes the checksum of the pods, and nothing else does."""

    def checksums(**values: Object) -> list[Object]:
        objects = render({"secret": SECRET, **values})
        return [pod(objects, component)["metadata"]["annotations"] for component in ("api", "worker")]

    before = checksums()
    assert checksums(service={"port": 81}) == before
    for change in (
        {"settings": {"RELAY_LOG_LEVEL": "debug"}},
        {"secret": {**SECRET, "adminKey": "another-example-of-a-key"}},
        {"checkpoint": {"existingClaim": "checkpoint"}},
    ):
        after = checksums(**change)
        assert all(new != old for new, old in zip(after, before, strict=True)), change


def test_reloader_watches_existing_secrets() -> None:
    """With `reloader.enabled`, its annotation is on every workload."""
    workloads = [each for each in rendered("everything") if each["kind"] in ("Deployment", "StatefulSet")]
    annotations = [each["metadata"].get("annotations", {}) for each in workloads]
    assert annotations == [{"reloader.stakater.com/auto": "true"}] * 3
    assert "annotations" not in one(rendered("existing-secret"), "Deployment", "-api")["metadata"]


def test_components_add_to_what_they_have_in_common() -> None:
    """Maps and lists are joined, single values are replaced."""
    objects = rendered("scheduling")
    api, worker = pod(objects, "api"), pod(objects, "worker")
    assert (api["metadata"]["labels"]["tier"], worker["metadata"]["labels"]["tier"]) == ("back", "work")
    assert {api["metadata"]["labels"]["team"], worker["metadata"]["labels"]["team"]} == {"events"}
    assert (api["spec"]["priorityClassName"], worker["spec"]["priorityClassName"]) == ("normal", "high")
    assert api["spec"]["nodeSelector"] == {"kubernetes.io/arch": "amd64", "pool": "api"}
    assert [each["key"] for each in worker["spec"]["tolerations"]] == ["spot", "big"]
    spread = worker["spec"]["topologySpreadConstraints"]
    assert [each["labelSelector"]["matchLabels"].get("tier") for each in spread] == [None, "work"]
    assert api["spec"]["containers"][0]["image"] == "registry.example.com/crm/relay@sha256:" + "a" * 64


def test_only_workers_get_the_credentials_of_the_checkpoint() -> None:
    """The API does not use the bucket."""
    objects = rendered("checkpoint-bucket")
    named = {
        component: [
            each["secretRef"]["name"] for each in container(objects, component)["envFrom"] if "secretRef" in each
        ]
        for component in ("api", "worker")
    }
    assert named == {"api": ["relay"], "worker": ["relay", "bucket"]}


def test_probes_fail_late() -> None:
    """A start may take a minute, and an unavailable Redis never restarts a pod: /health/live does not ask it."""
    for component in ("api", "worker"):
        relay = container(rendered("existing-secret"), component)
        startup = relay["startupProbe"]
        assert startup["periodSeconds"] * startup["failureThreshold"] >= STARTUP_S
        assert relay["livenessProbe"]["httpGet"]["path"] == "/health/live"
        assert relay["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    worker = container(rendered("extras"), "worker")
    assert worker["livenessProbe"]["periodSeconds"] == 20
    assert "startupProbe" not in worker
