"""Which endpoints get an event."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.domain.event_types import CLASSES, EVENT_TYPES, codes_of, names
from relay.domain.filtering import compile_filter
from relay.domain.matching import CONDITIONS_BETWEEN_PAUSES, Match, Matcher, Pace, unfit_reason, wants
from relay.domain.model import Application, ApplicationId, Endpoint, EndpointId
from relay.domain.picking import pick
from relay.errors import Invalid


def application(name: str = "a", **changes: Any) -> Application:
    return Application(id=ApplicationId(name), name=name, **changes)


def endpoint(name: str, *, app: str = "a", **changes: Any) -> Endpoint:
    return Endpoint(id=EndpointId(name), app_id=ApplicationId(app), url="https://crm.example", **changes)


def data(trigger: dict[str, Any], mask: int = 64) -> dict[str, Any]:
    return {"source": "uk", "igrp": 1, "rowId": "1", "revision": 1, "classes": list(names(mask)), "trigger": trigger}


def matched(matcher: Matcher, mask: int, trigger: dict[str, Any], *, had: int | None = None) -> dict[str, str]:
    found = matcher.match(codes_of(mask, had), data(trigger, mask))
    assert len({name for name, _ in found}) == len(found)
    return {name: EVENT_TYPES[code] for name, code in found}


GOAL_CALL = 0b1100110  # goal, call, touch_point, trigger


def test_an_endpoint_gets_an_event_once_as_the_first_type_it_wants() -> None:
    """In the order of precedence of the classes, not of the endpoint's own list; without a list, it wants all."""
    matcher = Matcher(
        [application()],
        [
            endpoint("all"),
            endpoint("calls", event_types=("trigger.created", "call.created")),
            endpoint("changes", event_types=("goal.updated", "call.updated")),
            endpoint("none", event_types=()),
            endpoint("unknown", event_types=("sms.created",)),
        ],
    )
    assert matched(matcher, GOAL_CALL, {}) == {"all": "goal.created", "calls": "call.created"}
    assert matched(matcher, GOAL_CALL, {}, had=0b1100100) == {"all": "goal.created", "changes": "call.updated"}


def test_an_applications_filter_holds_for_all_of_its_endpoints() -> None:
    """No endpoint of a tenant gets what its application must not see, whatever its own filter says."""
    matcher = Matcher(
        [application("a", filter={"dgrp": "1"}), application("b", filter={"dgrp": "2"})],
        [
            endpoint("a1"),
            endpoint("a2", filter={"dgrp": {"$in": ["1", "2"]}}),
            endpoint("a3", filter={"act": "land"}),
            endpoint("b1", app="b", filter={"act": "call"}),
        ],
    )
    assert set(matched(matcher, 64, {"dgrp": "1", "act": "call"})) == {"a1", "a2"}
    assert set(matched(matcher, 64, {"dgrp": "2", "act": "call"})) == {"b1"}
    assert set(matched(matcher, 64, {"dgrp": "3", "act": "call"})) == set()


def test_a_disabled_endpoint_matches_too() -> None:
    """What comes while an endpoint is disabled or paused is kept for it."""
    matcher = Matcher([application()], [endpoint("off", disabled=True), endpoint("paused", paused=True)])
    assert set(matched(matcher, 64, {})) == {"off", "paused"}


def test_an_endpoint_without_its_application_gets_nothing() -> None:
    """It was deleted a moment ago, and with it the filter that would hold."""
    assert matched(Matcher([], [endpoint("orphan")]), 64, {}) == {}


LIKE: dict[str, Any] = {"act": {"$like": "c"}}
"""A filter that another release wrote, and this one does not know."""


def test_an_endpoint_with_a_filter_that_is_none_stops_nobody() -> None:
    """It gets what its event types let through, to be asked later; the others get what is theirs."""
    matcher = Matcher(
        [application("a"), application("b", filter=LIKE)],
        [
            endpoint("fine", filter={"act": "call"}),
            endpoint("wrong", filter=LIKE, event_types=("trigger.created",)),
            endpoint("other types", filter=LIKE, event_types=("goal.created",)),
            endpoint("of b", app="b", filter={"act": "land"}),
        ],
    )
    assert matched(matcher, 64, {"act": "call"}) == dict.fromkeys(("fine", "wrong", "of b"), "trigger.created")
    assert matcher.unchecked == {"wrong", "other types", "of b"}


def test_an_endpoint_that_is_told_to_be_unfit_is_not_asked() -> None:
    """Of a record that can't be read nothing is known but whose it is: everything is kept for it."""
    matcher = Matcher([application()], [endpoint("e", filter={"act": "land"})], unfit={EndpointId("e")})
    assert set(matched(matcher, 64, {"act": "call"})) == {"e"}
    assert matcher.unchecked == {"e"}


@pytest.mark.parametrize(
    ("app", "own", "says"),
    [(None, None, None), ({"act": "call"}, {"act": "call"}, None), (None, LIKE, "its filter"), (LIKE, None, "its app")],
)
def test_an_unfit_endpoint_says_why(app: dict[str, Any] | None, own: dict[str, Any] | None, says: str | None) -> None:
    """Whose filter it is, what is wrong with it, and what to do; nothing for one that is fit."""
    reason = unfit_reason(application(filter=app), endpoint("e", filter=own))
    assert (reason is None) == (says is None)
    if says and reason:
        assert reason.startswith(says)
        assert "$like" in reason


def test_one_endpoint_is_asked_by_itself() -> None:
    """By its event types, its application's filter and its own: what the matcher would say."""
    tenant = application(filter={"dgrp": "1"})
    asked = endpoint("e", event_types=("call.created",), filter={"act": "call"})
    call, land, other = data({"dgrp": "1", "act": "call"}), data({"dgrp": "1", "act": "land"}), data({"act": "call"})
    types = codes_of(GOAL_CALL, None)
    assert [wants(tenant, asked, types, each) for each in (call, land, other)] == [True, False, False]
    assert not wants(tenant, asked, codes_of(64, None), call)
    with pytest.raises(Invalid):
        wants(tenant, endpoint("e", filter=LIKE), types, call)


@pytest.mark.parametrize("value", ["12", 12, "12.0", ["x", "12"], ["12", 12, "12.0"]], ids=repr)
def test_an_endpoint_is_found_by_a_pinned_number_in_any_form(value: Any) -> None:
    """Text, number, entry of a list: found once, wherever the filter itself would pass."""
    matcher = Matcher(
        [application()],
        [endpoint("number", filter={"c_x": 12}), endpoint("both", filter={"c_x": {"$in": ["12", 12, 13.0]}})],
    )
    assert set(matched(matcher, 64, {"c_x": value})) == {"number", "both"}


def test_only_endpoints_that_can_match_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ten thousand endpoints with a pinned field each, an event tries those of its value, though all pin `act`."""
    tried: list[str] = []
    original = compile_filter

    def compile_and_count(source: dict[str, Any]) -> Any:
        compiled = original(source)
        test: Callable[[dict[str, Any]], bool] = compiled.test

        def counting(event: dict[str, Any]) -> bool:
            tried.append(source["c_tenant"])
            return test(event)

        return type(compiled)(counting, compiled.discriminators)

    monkeypatch.setattr("relay.domain.matching.compile_filter", compile_and_count)
    endpoints = [endpoint(f"e{n}", filter={"act": "call", "c_tenant": f"only here {n % 1000}"}) for n in range(10_000)]
    matcher = Matcher([application()], endpoints)
    assert len(matched(matcher, 64, {"act": "call", "c_tenant": "only here 7"})) == 10
    assert tried == ["only here 7"] * 10


def test_matching_lets_others_have_their_turn() -> None:
    """Between two steps no more conditions are tested than take a millisecond, however many filters there are."""
    large = {"$or": [{"c_x": {"$contains": str(n)}} for n in range(80)]}
    matcher = Matcher([application()], [endpoint(f"e{n}", filter={**large, "c_y": str(n)}) for n in range(50)])
    pinned = Matcher([application()], [endpoint(f"e{n}", filter={**large, "act": "call"}) for n in range(50)])
    for each in (matcher, pinned):
        types, event, pace = codes_of(64, None), data({"act": "call", "c_x": "x"}), Pace()
        weight = each.weight(types)
        assert weight > 50 * 80
        steps = list(each.steps(types, event, pace))
        if each is pinned:
            assert len(steps) >= weight // CONDITIONS_BETWEEN_PAUSES - 1
            # What is left of one event's turn is the beginning of the next one's.
            assert pace.left < CONDITIONS_BETWEEN_PAUSES
        assert each.match(types, event) == []


def test_filters_are_compiled_once_also_those_that_can_not_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists show whether each endpoint is fit: that must not cost a compilation for each of them."""
    compilations: list[dict[str, Any]] = []
    original = compile_filter

    def compile_and_count(source: dict[str, Any]) -> Any:
        compilations.append(source)
        return original(source)

    monkeypatch.setattr("relay.domain.matching.compile_filter", compile_and_count)
    for source in ({"c_once": "x"}, {"c_once": {"$like": "x"}}):
        compilations.clear()
        said = {unfit_reason(application(), endpoint(f"e{n}", filter=dict(source))) for n in range(20)}
        assert (len(said), len(compilations)) == (1, 1)


fields = st.sampled_from(["a", "b", "c.d"])
scalars = st.integers(0, 2) | st.sampled_from(["0", "1", "x", "1.0"]) | st.booleans() | st.none()
filters = st.recursive(
    st.dictionaries(
        fields,
        scalars
        | st.builds(lambda op, value: {op: value}, st.sampled_from(["$eq", "$ne"]), scalars)
        | st.builds(lambda op, items: {op: items}, st.sampled_from(["$in", "$nin"]), st.lists(scalars, min_size=1)),
        max_size=2,
    ),
    lambda inner: st.builds(
        lambda op, items: {op: items}, st.sampled_from(["$and", "$or"]), st.lists(inner, min_size=1)
    ),
    max_leaves=4,
)
types = st.none() | st.lists(st.sampled_from(EVENT_TYPES), max_size=5).map(tuple)
triggers = st.fixed_dictionaries(
    {}, optional={"a": scalars | st.lists(scalars), "b": scalars, "c": st.fixed_dictionaries({"d": scalars})}
)


@given(
    app_filters=st.lists(st.none() | filters, min_size=1, max_size=2),
    subscriptions=st.lists(st.tuples(st.integers(0, 1), types, st.none() | filters), max_size=8),
    events=st.lists(st.tuples(st.integers(0, 255), st.none() | st.integers(0, 255), triggers), max_size=4),
)
@settings(max_examples=50)
def test_it_finds_just_what_asking_each_endpoint_finds(
    app_filters: list[dict[str, Any] | None],
    subscriptions: list[tuple[int, tuple[str, ...] | None, dict[str, Any] | None]],
    events: list[tuple[int, int | None, dict[str, Any]]],
) -> None:
    """The index is a short cut and nothing else, for any endpoints and rows, in any order of events."""
    applications = [application(str(n), filter=source) for n, source in enumerate(app_filters)]
    endpoints = [
        endpoint(f"e{n}", app=str(app % len(applications)), event_types=wanted, filter=source)
        for n, (app, wanted, source) in enumerate(subscriptions)
    ]
    matcher = Matcher(applications, endpoints)
    for mask, had, trigger in events:
        event, expected = data(trigger, mask), {}
        told = [EVENT_TYPES[code] for code in codes_of(mask, had)]
        for each in endpoints:
            kind = next((name for name in told if each.event_types is None or name in each.event_types), None)
            sources = (applications[int(each.app_id)].filter, each.filter)
            if kind is not None and all(source is None or compile_filter(source)(event) for source in sources):
                expected[each.id] = kind
        assert matched(matcher, mask, trigger, had=had) == expected
        # The columns that filters name are enough, and steps find the same.
        codes, part = codes_of(mask, had), pick(data(trigger, mask), matcher.columns)
        assert {endpoint: EVENT_TYPES[code] for endpoint, code in matcher.match(codes, part)} == expected
        assert sorted(in_steps(matcher, codes, event)) == sorted(matcher.match(codes, event))


def in_steps(matcher: Matcher, codes: bytes, event: dict[str, Any]) -> list[Match]:
    steps = matcher.steps(codes, event, Pace(1))
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            found: list[Match] = ended.value
            return found


def test_there_are_eight_classes() -> None:
    """The masks above are of eight bits; a ninth class wants the properties to know of it."""
    assert len(CLASSES) == 8
