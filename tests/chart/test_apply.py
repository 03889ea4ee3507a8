"""The Job that runs `relay apply` after each install and upgrade."""

import pytest

from relay.cli.declaring.document import read
from relay.cli.main import parser_of
from tests.chart.rendering import Object, RefusedError, one, render, rendered


def test_it_is_off_by_default() -> None:
    """Nobody's objects change because the chart was upgraded."""
    assert [each for each in rendered("small") if each["kind"] == "Job"] == []


def test_it_applies_what_the_values_declare() -> None:
    """The file is what the command reads, numbers included, and the arguments are its own."""
    objects = rendered("apply")
    (container,) = one(objects, "Job")["spec"]["template"]["spec"]["containers"]
    args = parser_of(["apply"]).parse_args(container["args"])
    assert (args.file, args.yes, args.prune, args.secrets) == ("/etc/relay/apply/relay.yaml", True, True, True)
    assert container["volumeMounts"][0]["mountPath"] == "/etc/relay/apply"
    data = one(objects, "ConfigMap", "-apply")["data"]
    document, used = read(data["relay.yaml"], {"INFINITY_KEY": "key-of-infinity"})
    assert used == {"INFINITY_KEY": "key-of-infinity"}
    assert document.sources is not None
    assert document.sources["main"]["startRowId"] == 141_248_001
    assert document.endpoints["crm"]["all"] == {"url": "https://crm.example.com/calls"}


def test_it_runs_when_everything_else_is_there() -> None:
    """As a hook after install and upgrade, the ConfigMap first, with keys from Secrets alone."""
    objects = rendered("apply")
    job, config = one(objects, "Job"), one(objects, "ConfigMap", "-apply")
    hooks = [each["metadata"]["annotations"] for each in (config, job)]
    assert {each["helm.sh/hook"] for each in hooks} == {"post-install,post-upgrade"}
    assert int(hooks[0]["helm.sh/hook-weight"]) < int(hooks[1]["helm.sh/hook-weight"])
    (container,) = job["spec"]["template"]["spec"]["containers"]
    env = {each["name"]: each for each in container["env"]}
    assert env["RELAY_API_URL"]["value"] == "http://events-infinity-event-relay:80"
    assert env["RELAY_API_KEY"]["valueFrom"]["secretKeyRef"] == {"name": "relay", "key": "RELAY_ADMIN_KEY"}
    assert container["envFrom"] == [{"secretRef": {"name": "relay-declared"}}]


def test_it_may_reach_the_api_and_nothing_else() -> None:
    """The policy of the API lets its pods in, and that of its pods lets them out to the API."""
    objects = rendered("apply")
    labels = one(objects, "Job")["spec"]["template"]["metadata"]["labels"]
    (rule,) = one(objects, "NetworkPolicy", "-api")["spec"]["ingress"][:1]
    selectors = [each["podSelector"]["matchLabels"] for each in rule["from"] if "podSelector" in each]
    assert any(selector.items() <= labels.items() for selector in selectors)
    own = one(objects, "NetworkPolicy", "-apply")["spec"]
    assert own["podSelector"]["matchLabels"].items() <= labels.items()
    assert own["ingress"] == []


def test_a_key_and_a_config_map_of_ones_own_are_used() -> None:
    """Then the chart creates no ConfigMap for it."""
    own = {"enabled": True, "existingConfigMap": "mine", "key": "all.yaml", "existingKeySecret": "deployer"}
    objects = render({"apply": own})
    spec = one(objects, "Job")["spec"]["template"]["spec"]
    assert spec["volumes"][0]["configMap"] == {"name": "mine"}
    assert spec["containers"][0]["args"] == ["apply", "--file", "/etc/relay/apply/all.yaml", "--yes", "--secrets"]
    (key,) = (each for each in spec["containers"][0]["env"] if each["name"] == "RELAY_API_KEY")
    assert key["valueFrom"]["secretKeyRef"] == {"name": "deployer", "key": "RELAY_API_KEY"}
    assert [each["metadata"]["name"] for each in objects if each["kind"] == "ConfigMap"] == [
        "events-infinity-event-relay"
    ]


@pytest.mark.parametrize(
    ("apply", "says"),
    [
        ({"enabled": True}, "apply.enabled requires apply.declarations"),
        ({"declarations": {"sources": {}}, "existingConfigMap": "mine"}, "exclude each other"),
        ({"enabled": True, "declarations": {"sources": {}}, "key": "x.yaml"}, "apply.key must be relay.yaml"),
        ({"declaration": {}}, "not allowed"),
    ],
)
def test_values_that_apply_nothing_are_refused(apply: Object, says: str) -> None:
    """With what to set."""
    with pytest.raises(RefusedError, match=says):
        render({"apply": apply})
