"""Alerts and dashboards ask for what the service exposes, and each alert has its section in the runbook."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from relay.metrics.process import KINDS
from relay.metrics.table import BY_NAME, METRICS
from relay.metrics.worker import LAG_BOUNDS_MS

ROOT = Path(__file__).parents[2]
FILES = ROOT / "helm/files"
ALL: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((FILES / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
]
RULES = [rule for rule in ALL if "alert" in rule]
RECORDED = {rule["record"] for rule in ALL if "record" in rule}
DASHBOARDS = sorted(FILES.glob("dashboards/*.json"))
OF_TARGETS = {"instance", "job", "namespace", "pod", "service"}
"""Labels that Prometheus adds."""
VARIABLES = {"$__rate_interval": "5m", "$__interval": "1m", "$__range": "1h", "$endpoint": "ep_1", "$source": "uk"}
DURATION = re.compile(r"\d+(ms|s|m|h|d)")


def queries(panels: list[dict[str, Any]]) -> Iterator[str]:
    """The queries of panels, with values for Grafana's variables."""
    for panel in panels:
        for target in panel.get("targets", ()):
            expr = target["expr"]
            for name, value in VARIABLES.items():
                expr = expr.replace(name, value)
            yield expr
        yield from queries(panel.get("panels", []))


def chosen_from(dashboard: dict[str, Any]) -> Iterator[str]:
    """The metrics that the variables of a dashboard take their values from."""
    for each in dashboard["templating"]["list"]:
        if each["type"] == "query":
            found = re.fullmatch(r"label_values\((\w+), (\w+)\)", each["query"]["query"])
            assert found is not None
            yield f"max by ({found[2]}) ({found[1]})"


def of_documents() -> list[str]:
    """The queries that docs/metrics.md suggests."""
    rows = (ROOT / "docs/metrics.md").read_text().partition("## Useful questions")[2]
    return [query for row in re.findall(r"^\| .+\? \| (.+) \|$", rows, re.M) for query in re.findall(r"`([^`]+)`", row)]


def of_dashboards() -> Iterator[str]:
    """The queries of all dashboards."""
    for path in DASHBOARDS:
        read = json.loads(path.read_text())
        yield from (*queries(read["panels"]), *chosen_from(read))


EXPRESSIONS = list(dict.fromkeys([*(rule["expr"] for rule in ALL), *of_dashboards(), *of_documents()]))


def faults(expr: str) -> list[str]:
    """What an expression asks for that there is not."""
    promql_parser.parse(expr)
    bare = re.sub(r'"(\\.|[^"\\])*"', '""', expr)
    found = []
    found += [f"nothing records {name}" for name in set(re.findall(r"\brelay:[\w:]+", bare)) - RECORDED]
    names = set(re.findall(r"\b(?:relay|process)_\w+", bare))
    for name in names:
        metric = BY_NAME.get(re.sub(r"_(bucket|sum|count)$", "", name)) or BY_NAME.get(name)
        if metric is None and not name.startswith("process_"):
            found.append(f"there is no metric {name}")
    allowed = (
        {"le"}
        | OF_TARGETS
        | {label for name in names for each in METRICS if name.startswith(each.name) for label in each.labels}
    )
    used = {
        label for group in re.findall(r"\{([^}]*)\}", bare) for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", group)
    }
    used |= {
        label
        for group in re.findall(r"\b(?:by|on|without|ignoring) ?\(([^)]*)\)", bare)
        for label in group.replace(" ", "").split(",")
        if label
    }
    shown = " ".join(BY_NAME[name].values for name in names & BY_NAME.keys()) + "".join(f"`{kind}`" for kind in KINDS)
    for value in re.findall(r'"([^"]*)"', expr):
        for each in value.split("|"):
            if f"`{each}`" not in shown and not re.fullmatch(r"ep_1|uk|[1-5]xx|sight|row|60\.0", each):
                found.append(f"{names} are never {each}")
    return [*found, *(f"{names} have no label {label}" for label in used - allowed)]


@pytest.mark.parametrize("expr", EXPRESSIONS)
def test_each_query_asks_for_what_there_is(expr: str) -> None:
    """It can be parsed, and each metric has the labels that it names."""
    assert faults(expr) == []


@pytest.mark.parametrize("expr", EXPRESSIONS)
def test_each_query_aggregates_as_its_metric_wants(expr: str) -> None:
    """What describes the store is the same in every worker: a sum over workers would count it several times."""
    for metric in METRICS:
        if metric.scope == "store" and (uses := len(re.findall(rf"\b{metric.name}\b", expr))):
            assert len(re.findall(rf"\bmax(?: by \([^)]*\))? ?\({metric.name}\b", expr)) == uses


def test_the_check_finds_faults() -> None:
    """A wrong name, a wrong label, and an expression that is none."""
    assert faults("max(relay_no_such_gauge)") == ["there is no metric relay_no_such_gauge"]
    assert len(faults('sum by (endpoint) (rate(relay_attempts_total{outcom="2xx"}[5m]))')) == 2
    assert faults("relay:late_deliveries:ratio_rate7m") == ["nothing records relay:late_deliveries:ratio_rate7m"]
    assert faults('max(relay_condition{condition="full"})') == ["{'relay_condition'} are never full"]
    with pytest.raises(ValueError, match="unclosed"):
        faults("sum(relay_redis_up")


def test_a_minute_is_a_bound_of_the_lags() -> None:
    """The objective of freshness counts the lags up to a bound of the histogram."""
    (bound,) = {text for rule in ALL for text in re.findall(r'le="([^"]+)"', rule["expr"])}
    assert bound in [repr(each / 1000) for each in LAG_BOUNDS_MS]


@pytest.mark.parametrize("record", sorted(RECORDED))
def test_each_recorded_series_says_its_window(record: str) -> None:
    """The name ends with the range of every rate in it, as Prometheus's rules for names ask."""
    (rule,) = [each for each in ALL if each.get("record") == record]
    assert set(re.findall(r"\[(\w+)\]", rule["expr"])) == {record.rpartition("ratio_rate")[2]}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_each_alert_is_complete(rule: dict[str, Any]) -> None:
    """A severity, a summary, a description, and a section of the runbook that says what to do."""
    assert re.fullmatch(r"Relay[A-Z]\w+", rule["alert"])
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert DURATION.fullmatch(rule.get("for", "1m"))
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    section = (ROOT / page).read_text().partition(f"### {rule['alert']}\n")[2].partition("\n#")[0]
    assert anchor == rule["alert"].lower()
    assert "\n- " in section


def test_there_are_enough_alerts() -> None:
    """Goal G40. None stands there twice, and the runbook has no section for one that is gone."""
    names = [rule["alert"] for rule in RULES]
    assert len(names) == len(set(names)) >= 9
    sections = re.findall(r"^### (Relay\w+)$", (ROOT / "docs/runbook.md").read_text(), re.M)
    assert sections == names


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_each_dashboard_is_complete(dashboard: Path) -> None:
    """It names its data source by a variable, and every panel has a title and says what it shows."""
    read = json.loads(dashboard.read_text())
    assert read["uid"] == dashboard.stem
    ids = [panel["id"] for panel in read["panels"]]
    assert len(ids) == len(set(ids))
    for panel in read["panels"]:
        assert panel["title"]
        if panel["type"] != "row":
            assert panel["description"].endswith(".")
            assert panel["datasource"]["uid"] == "${datasource}"
