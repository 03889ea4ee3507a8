"""compose.yaml is a right file, and agrees with the settings, the chart, and the files that it mounts."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from relay.config import Settings, load, variable
from tests.composing import ROOT, example, read_compose, used

SCHEMA = ROOT / "tests/golden/compose-spec.json"
"""Of the module github.com/compose-spec/compose-go/v2, version 2.16.2, under the Apache License 2.0."""
FILLED = {
    "RELAY_ADMIN_KEY": "k" * 24, "RELAY_ENCRYPTION_KEY": "A" * 43 + "=", "VALKEY_PASSWORD": "p" * 48,
    "GRAFANA_PASSWORD": "g" * 24, "RECEIVER_SECRET": "whsec_YW4gZXhhbXBsZSwgbm90IGEgc2VjcmV0",
}  # fmt: skip
COMPOSE = read_compose(example(with_sandbox=True) | FILLED)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
NAMES = sorted(SERVICES)
ONCE = {"connect-sandbox"}
"""Services that do their work and end."""
CHART = yaml.safe_load((ROOT / "helm/values.yaml").read_text())
PROMETHEUS = yaml.safe_load((ROOT / "compose/prometheus.yaml").read_text())


def mounts(service: str) -> dict[str, str]:
    """The files of this repository that a service sees: where it sees them, and where they are."""
    volumes = [each.split(":") for each in SERVICES[service].get("volumes", ())]
    return {inside: outside for outside, inside, *_ in volumes if outside.startswith("./")}


def test_it_is_a_compose_file() -> None:
    """By the schema of the Compose Specification, which knows every key."""
    validator = jsonschema_rs.validator_for(json.loads(SCHEMA.read_text()))
    assert [f"{list(error.instance_path)}: {error.message}" for error in validator.iter_errors(COMPOSE)] == []
    COMPOSE["services"]["api"]["deploy"] = {"replica": 1}
    assert not validator.is_valid(COMPOSE)
    del COMPOSE["services"]["api"]["deploy"]


def test_the_example_has_every_variable() -> None:
    """.env.example names each variable of compose.yaml, and only those that must be filled in are required."""
    named = example(with_sandbox=True)
    assert named.keys() - {"COMPOSE_PROFILES"} == used().keys()
    required = {name for name, is_required in used().items() if is_required}
    assert {name for name in example(with_sandbox=False) if not example(with_sandbox=False)[name]} >= required
    for name in required:
        with pytest.raises(KeyError, match=name):
            read_compose({**named, **FILLED, name: ""})


@pytest.mark.parametrize("service", ["api", "worker"])
@pytest.mark.parametrize("with_sandbox", [True, False], ids=["with the sandbox", "as it stands"])
def test_the_relay_takes_its_settings(service: str, with_sandbox: bool) -> None:
    """Every RELAY_* variable exists and has an allowed value."""
    read = read_compose(example(with_sandbox=with_sandbox) | FILLED)
    settings = load(read["services"][service]["environment"])
    assert bool(settings.egress_allow) == bool(settings.upstream_allow) == with_sandbox
    assert settings.metrics_port == 9100


def test_every_setting_of_the_example_exists() -> None:
    """A RELAY_* variable in .env.example is one of docs/configuration.md."""
    known = {variable(name) for name in Settings.__dataclass_fields__}
    assert {name for name in used() if name.startswith("RELAY_")} <= known


def test_what_it_mounts_exists() -> None:
    """Docker would create a folder in place of a file that is missing."""
    for service in NAMES:
        for outside in mounts(service).values():
            assert (ROOT / outside).exists(), outside
    declared = COMPOSE["volumes"].keys()
    named = {each.split(":")[0] for each in _volumes() if not each.startswith("./")}
    assert named == declared


def _volumes() -> list[str]:
    return [each for service in SERVICES.values() for each in service.get("volumes", ())]


def test_rules_and_dashboards_have_one_copy() -> None:
    """Prometheus and Grafana read the files of the chart, where their configuration looks for them."""
    rules = {inside for inside, outside in mounts("prometheus").items() if outside == "./helm/files/alerts.yaml"}
    (pattern,) = PROMETHEUS["rule_files"]
    assert len(rules) == 1
    assert Path(rules.pop()).match(pattern)
    assert mounts("grafana")["/etc/grafana/dashboards"] == "./helm/files/dashboards"
    (provider,) = yaml.safe_load((ROOT / "compose/grafana/dashboards/relay.yaml").read_text())["providers"]
    assert provider["options"]["path"] == "/etc/grafana/dashboards"
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / "helm/files/dashboards" / Path(home).name).exists()
    assert "alert:" not in (ROOT / "compose/prometheus.yaml").read_text()


def test_prometheus_asks_where_the_relay_answers() -> None:
    """Each kind of process is found by the name of its service, at RELAY_METRICS_PORT."""
    asked = {}
    for job in PROMETHEUS["scrape_configs"]:
        (found,) = job["dns_sd_configs"]
        asked |= dict.fromkeys(found["names"], found["port"])
    assert asked == {name: int(SERVICES[name]["environment"]["RELAY_METRICS_PORT"]) for name in ("api", "worker")}
    assert all("metrics" in SERVICES[name]["networks"] for name in ("api", "worker", "prometheus", "grafana"))
    (source,) = yaml.safe_load((ROOT / "compose/grafana/datasources/prometheus.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert source["jsonData"]["timeInterval"] == PROMETHEUS["global"]["scrape_interval"]


def test_ports_agree() -> None:
    """What is published and what a healthcheck asks for is a port that the process listens on."""
    listening = {
        "api": str(load(SERVICES["api"]["environment"]).port), "prometheus": "9090", "grafana": "3000",
    }  # fmt: skip
    for name, port in listening.items():
        (published,) = SERVICES[name]["ports"]
        assert published.startswith("127.0.0.1:")
        assert published.rpartition(":")[2] == port
    asked = {**listening, "worker": str(load(SERVICES["worker"]["environment"]).worker_port)}
    asked |= {name: command[-1] for name in ("sandbox", "receiver") if (command := _listening(name))}
    for name, port in asked.items():
        assert re.search(rf"\b{port}\b", " ".join(SERVICES[name]["healthcheck"]["test"])), name
    steps = SERVICES["connect-sandbox"]["environment"]
    for name, address in (("api", "API_URL"), ("sandbox", "SANDBOX_URL"), ("receiver", "RECEIVER_URL")):
        assert steps[address] == f"http://{name}:{asked[name]}"


def _listening(service: str) -> list[str]:
    command = SERVICES[service]["command"]
    return command[: command.index("--port") + 2]


@pytest.mark.parametrize("service", NAMES)
def test_each_container_has_few_rights(service: str) -> None:
    """No capabilities, a root that cannot be written, no new privileges, and no user root."""
    each = SERVICES[service]
    assert each["read_only"] is True
    assert each["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in each["security_opt"]
    assert "privileged" not in each
    # The image of the relay has a user of its own.
    assert "build" in each or not each["user"].startswith("0")


@pytest.mark.parametrize("service", NAMES)
def test_each_service_waits_for_what_it_needs(service: str) -> None:
    """Each has a healthcheck, and those that depend on it wait until it is healthy."""
    each = SERVICES[service]
    assert ("healthcheck" in each) == (service not in ONCE)
    for other, condition in each.get("depends_on", {}).items():
        assert condition == {"condition": "service_healthy"}
        assert "healthcheck" in SERVICES[other]
        assert set(SERVICES[other].get("profiles", ())) <= set(each.get("profiles", ()))


@pytest.mark.parametrize("service", NAMES)
def test_each_image_is_pinned(service: str) -> None:
    """To a version, unless it is built here."""
    each = SERVICES[service]
    assert "build" in each or re.search(r":v?\d+\.\d+\.\d+(@sha256:[0-9a-f]{64})?$", each["image"])


def test_valkey_is_that_of_the_chart() -> None:
    """The same version, the same rules of the relay's user, and nothing is evicted or kept in memory only."""
    image = CHART["valkey"]["image"]
    assert SERVICES["valkey"]["image"] == f"{image['repository']}:{image['tag']}"
    rules = re.search(r'valkey\.rules" -}}\n(.+)\n', (ROOT / "helm/templates/valkey/_valkey.tpl").read_text())
    assert rules is not None
    assert rules[1] in SERVICES["valkey"]["command"][0]
    conf = (ROOT / "compose/valkey.conf").read_text().splitlines()
    assert {"maxmemory-policy noeviction", "appendonly yes", 'save ""', "dir /data"} <= set(conf)
    assert any(each.endswith(":/data") for each in SERVICES["valkey"]["volumes"])


def test_callbacks_do_not_reach_the_store() -> None:
    """The network that .env.example opens to callbacks has neither Valkey nor Prometheus in it."""
    (opened,) = COMPOSE["networks"]["sandbox"]["ipam"]["config"]
    assert opened["subnet"] == SERVICES["worker"]["environment"]["RELAY_EGRESS_ALLOW"]
    inside = {name for name in NAMES if "sandbox" in SERVICES[name]["networks"]}
    assert inside == {"api", "worker", "sandbox", "receiver", "connect-sandbox"}
    assert {name for name in NAMES if "store" in SERVICES[name]["networks"]} == {"api", "worker", "valkey"}


def test_the_profile_can_be_left_out() -> None:
    """Without the profile `sandbox` nothing of it runs, and a relay for production is left."""
    always = {name for name in NAMES if "profiles" not in SERVICES[name]}
    assert always == {"api", "worker", "valkey", "prometheus", "grafana"}
