"""What recipes say, compared with what is known of the APIs that they are for: without sending anything."""

import json
import re
from typing import Any

import msgspec
import pytest

from relay.api.schemas.requests import VerdictRuleIn, read_verdicts
from relay.domain.requests.ruling import Answer, rule_on
from relay.errors import Invalid
from relay.expressions.compiling import Cache
from relay.expressions.evaluating import evaluate
from relay.expressions.evaluator import FULL
from relay.expressions.functions import load
from relay.recipes import Recipe, endpoint_of, recipes
from tests.recipes.facts import FACTS, Request, faults

ROW = {
    "rowId": "141248745", "act": "call", "callDirection": "in", "callStage": "ring", "callDuration": 97,
    "bridgeDuration": 0, "srcPhoneNumber": "07700 900123", "dialledPhoneNumber": "020 7946 0018",
    "triggerDatetime": "2026-11-20T14:05:09.000Z", "campaign": "spring", "term": "boiler", "dgrpName": "Sales",
    "goal": "12", "goalTitle": "Call Qualified", "goalValue": 12.5, "goalCurrency": "GBP", "callRating": "Sale",
    "pt_gclid": "EAIaIQobChMI-test_1", "c_clientId": "111.222", "c_sessionId": "1795183000",
}  # fmt: skip
ODD: dict[str, dict[str, Any]] = {
    "long": dict.fromkeys(("campaign", "term", "dgrpName", "goalTitle", "callRating", "txr"), "<&'\"\\é*>" * 5000),
    "null": dict.fromkeys(
        ROW.keys() - {"rowId", "act", "callDirection", "callStage", "goal", "pt_gclid", "c_clientId"}
    ),
    "numbers": dict.fromkeys(ROW.keys() - {"rowId", "act", "goal", "goalValue", "goalCurrency"}, 7),
    "objects": {name: {"a": [1]} for name in ROW.keys() - {"rowId", "act", "goal", "goalValue", "goalCurrency"}},
    "numbers as texts": {"callDuration": "x", "bridgeDuration": "-3", "goalValue": "12", "txv": "a"},
    "negative": {"callDuration": -3, "bridgeDuration": -0.5},
    "answered": {"callStage": "bridge", "bridgeDuration": 84.4},
}
HIDDEN = ("anonymous", "test.user2", "**********958", "hmac_" + "0123456789abcdef" * 4, "", None)
"""Of callers: withheld, of a SIP client, masked, hashed, and dropped."""


@pytest.fixture(autouse=True, scope="module")
def _loaded() -> None:
    """The time that functions take to read their files is not that of an expression."""
    load()


def values_of(recipe: Recipe) -> dict[str, str]:
    """A value for each parameter."""
    return {name: parameter.example for name, parameter in recipe.parameters.items()}


def transformed(name: str, *, captured: Any = None, lookup: Any = None, **columns: Any) -> Any:
    """What a recipe makes of a row."""
    endpoint = endpoint_of(recipes()[name], values_of(recipes()[name]))
    data = {"igrp": 1234, "rowId": "141248745", "key": "1234-141248745", "trigger": ROW | columns}
    event = json.dumps({"type": "call.created", "timestamp": "2026-11-20T14:06:00.000Z", "data": data})
    known = {"key": data["key"], "event": {}, "variables": endpoint["variables"]}
    bindings = known | {"captured": captured, "lookup": lookup}
    encoded = {variable: json.dumps(value).encode() for variable, value in bindings.items()}
    results = evaluate(Cache(), {"body": endpoint["transformation"]}, event.encode(), encoded, FULL)
    assert isinstance(results, dict), results
    return None if results["body"] is None else json.loads(results["body"])


def test_every_recipe_has_facts() -> None:
    """Each source with its date, and each fact with its sources."""
    assert set(FACTS) == set(recipes())
    for facts in FACTS.values():
        known = facts["sources"]
        assert all(source["title"] and (source["date"] or name in "k?") for name, source in known.items())
        used = [*facts["requests"].values(), *facts["answers"], *facts["limits"]]
        assert all(each["source"] and set(each["source"]) <= set(known) for each in used)


@pytest.mark.parametrize("name", FACTS)
def test_rules_say_what_answers_mean(name: str) -> None:
    """For each answer that is documented: the verdict, how long the relay waits, and whether the endpoint pauses."""
    rules = read_verdicts(msgspec.convert(recipes()[name].endpoint["verdicts"], list[VerdictRuleIn]))
    for answer in FACTS[name]["answers"]:
        body = answer.get("body", "")
        text = body if isinstance(body, str) else json.dumps(body)
        ruling = rule_on(rules, Answer(answer["status"], answer.get("headers", {}), text.encode()), now_ms=0)
        if ruling is None:
            assert (answer["means"], answer["status"] // 100) == ("delivered", 2)
            continue
        delay_s = None if ruling.delay_ms is None else ruling.delay_ms / 1000
        expected = answer["means"], answer.get("delaySeconds"), answer.get("pauses", False)
        assert (ruling.verdict, delay_s, ruling.pauses) == expected, answer


@pytest.mark.parametrize("name", FACTS)
def test_rates_fit_the_limits(name: str) -> None:
    """Each documented window has one of its length; callbacks in flight, and lookups alone, fit as well."""
    endpoint = recipes()[name].endpoint
    lookups = endpoint.get("lookup", {}).get("rateLimit", 0)
    windows = {each["seconds"]: each["limit"] for each in endpoint.get("rates", ())}
    for limit in FACTS[name]["limits"]:
        if "requests" in limit:
            assert windows.pop(limit["seconds"]) <= limit["requests"]
        if "lookups" in limit:
            assert 0 < lookups * limit["seconds"] <= limit["lookups"]
        if "concurrent" in limit:
            assert 0 < endpoint["concurrency"] <= limit["concurrent"]
    assert windows == {}, "a window without a fact"
    assert ("throttleRate" in endpoint) == (not FACTS[name]["limits"])


@pytest.mark.parametrize("name", FACTS)
def test_parameters_reach_expressions_as_variables_only(name: str) -> None:
    """A parameter's value inside an expression would be code. The others all stand in the endpoint."""
    endpoint = recipes()[name].endpoint
    lookup = endpoint.get("lookup", {})
    expressions = [endpoint["transformation"], *endpoint.get("urlParameters", {}).values()]
    expressions += [
        lookup.get("key"),
        lookup.get("body"),
        lookup.get("result"),
        endpoint.get("capture", {}).get("value"),
    ]
    expressions += lookup.get("urlParameters", {}).values()
    assert "${" not in str(expressions)
    used = set(re.findall(r"\$\{(\w+)\}", json.dumps(endpoint)))
    assert used == set(recipes()[name].parameters)
    if "srcPhoneNumber" in str(expressions):
        assert "$variables.region" in str(expressions)


@pytest.mark.parametrize("name", FACTS)
def test_a_missing_parameter_is_named(name: str) -> None:
    """So is one that is empty."""
    recipe, values = recipes()[name], values_of(recipes()[name])
    for missing, parameter in recipe.parameters.items():
        if parameter.default is None:
            rest = {each: value for each, value in values.items() if each != missing}
            for given in (rest, values | {missing: ""}):
                with pytest.raises(Invalid) as caught:
                    endpoint_of(recipe, given)
                assert [fault.path for fault in caught.value.faults] == [("body", "parameters", missing)]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", FACTS)
def test_no_row_makes_a_body_that_the_api_refuses(name: str, odd: str) -> None:
    """Long and hostile texts are cut and escaped, and a column that is not what it should be is left out."""
    requests = FACTS[name]["requests"]
    for captured, lookup in ((None, None), (None, 501), ("9001", None)):
        kind = "update" if captured and "update" in requests else next(iter(requests))
        body = transformed(name, captured=captured, lookup=lookup, **ODD[odd])
        if body is None:
            assert name in ("google-data-manager", "ga4-event", "slack-missed-call", "teams-missed-call")
            continue
        sent = Request("", "", {"content-type": "application/json"}, json.dumps(body).encode())
        assert [each for each in faults(name, kind, sent) if each.startswith("[")] == []


@pytest.mark.parametrize("number", HIDDEN)
@pytest.mark.parametrize("name", FACTS)
def test_a_number_that_is_hidden_is_not_sent(name: str, number: str | None) -> None:
    """Neither a withheld one nor what a privacy rule leaves of one: not as a number, a text or a lookup."""
    body = json.dumps(transformed(name, srcPhoneNumber=number))
    assert not number or number not in body
    assert not re.search(r"WhoId|who\.records|hs_call_from_number|phonenumber|Caller_ID", body)
    lookup = recipes()[name].endpoint.get("lookup")
    if lookup:
        event = json.dumps({"data": {"trigger": ROW | {"srcPhoneNumber": number}}}).encode()
        variables = {"variables": b'{"region": "GB"}'}
        assert evaluate(Cache(), {"key": lookup["key"]}, event, variables, FULL) == {"key": None}


@pytest.mark.parametrize(
    ("name", "without"),
    [("google-data-manager", {"pt_gclid": None}), ("google-data-manager", {"goal": "99"}),
     ("ga4-event", {"c_clientId": ""}), ("slack-missed-call", {"callStage": "bridge"}),
     ("slack-missed-call", {"bridgeDuration": 3}), ("teams-missed-call", {"bridgeDuration": 3}),
     ("teams-missed-call", {"callDirection": "out"})],
)  # fmt: skip
def test_rows_that_mean_nothing_to_the_api_are_skipped(name: str, without: dict[str, Any]) -> None:
    """No click, no conversion action, no client, or a call that somebody answered."""
    assert transformed(name) is not None
    assert transformed(name, **without) is None


@pytest.mark.parametrize(
    "columns",
    [{"c_gclid": "CLICK-id_12345"}, {"vref": "https://a.example/?x=1&gclid=CLICK-id_12345#top"},
     {"href": "https://a.example/?gclid=CLICK-id_12345&y=2"}],
)  # fmt: skip
def test_a_click_id_is_found_wherever_it_is(columns: dict[str, str]) -> None:
    """In a column, or in the query of a URL."""
    body = transformed("google-data-manager", pt_gclid=None, **columns)
    assert body["events"][0]["adIdentifiers"] == {"gclid": "CLICK-id_12345"}
