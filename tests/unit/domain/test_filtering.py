"""Filters: what they pass, and what is no filter."""

import operator
import re
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from relay.domain.filtering import MAX_CONDITIONS, MAX_DEPTH, both, compile_filter
from relay.domain.operators import MAX_ENTRIES, MAX_SEARCHED, MAX_VALUES, OPERATORS
from relay.errors import Invalid

TRIGGER: dict[str, Any] = {
    "act": "call",
    "goal": "12",
    "callDuration": 61,
    "txv": Decimal("1.10"),
    "rec": True,
    "ringTime": None,
    "triggerDatetime": "2018-01-16T13:20:11.000Z",
    "notes": [{"note": "urgent matter"}, {"note": "done", "by": "jo"}],
    "c_age": "5",
    "c_code": "007",
    "c_empty": "",
    "c_flag": "1",
    "c_number": 7,
    "c_one": 1,
    "c_list": ["a", 3],
    "c_object": {"inner": {"deep": "x"}, "a.b": 2},
    "c_dot.ted": "own",
    "c_dot": {"ted": "walked"},
    "revision": "of the row",
}
DATA: dict[str, Any] = {
    "source": "uk",
    "igrp": 3,
    "rowId": "900",
    "revision": 2,
    "classes": ["goal", "call", "trigger"],
    "trigger": TRIGGER,
    "previous": {"callRating": None, "callDuration": 60},
}

PASSES: list[dict[str, Any]] = [
    {},
    {"act": "call"},
    {"act": {"$eq": "call"}, "callDuration": {"$gt": 60, "$lte": 61}},
    {"act": {"$ne": "land"}},
    {"act": {"$neq": "land"}},
    {"act": {"$in": ["land", "call"]}},
    {"act": {"$nin": ["land", "page"]}},
    {"act": {"$startsWith": "ca"}},
    {"act": {"$endsWith": "ll"}},
    {"act": {"$contains": "al"}},
    {"act": {"$gte": "call", "$lt": "d"}},
    {"goal": "12"},
    {"goal": 12},
    {"goal": 12.0},
    {"goal": {"$in": [11, 12]}},
    {"goal": {"$gte": 12}},
    {"txv": 1.1},
    {"txv": {"$gt": 1.09, "$lt": 1.11}},
    {"txv": {"$in": [1.1]}},
    {"rec": True},
    {"rec": {"$ne": False}},
    {"ringTime": None},
    {"ringTime": {"$exists": True}},
    {"ringTime": {"$ne": 5}},
    {"triggerDatetime": {"$gte": "2018-01-16", "$lt": "2018-01-17"}},
    {"triggerDatetime": "2018-01-16T13:20:11Z"},
    {"triggerDatetime": {"$gte": "2018-01-16T13:20:11Z", "$lte": "2018-01-16T14:20:11+01:00"}},
    {"triggerDatetime": {"$in": ["2018-01-16 13:20:11"]}},
    {"c_age": {"$gt": 4.5}},
    {"c_age": "5"},
    {"c_code": "007"},
    {"c_empty": ""},
    {"c_number": 7},
    {"c_list": "a"},
    {"c_list": 3},
    {"c_list": {"$in": ["b", 3]}},
    {"c_list": {"$gt": 2}},
    {"c_list": {"$nin": ["x"]}},
    {"classes": "goal"},
    {"classes": {"$in": ["transaction", "goal"]}},
    {"classes": {"$ne": "visit"}},
    {"notes.note": {"$contains": "urgent"}},
    {"notes.by": "jo"},
    {"c_object.inner.deep": "x"},
    {"c_dot.ted": "own"},
    {"missing": {"$exists": False}},
    {"missing": {"$ne": "x"}},
    {"missing": {"$neq": 1}},
    {"missing": {"$nin": ["x"]}},
    {"missing": {"$not": {"$gt": 5}}},
    {"$not": {"missing": "x"}},
    {"c_object.none.deep": {"$exists": False}},
    {"act.deeper": {"$exists": False}},
    {"source": "uk", "igrp": 3, "rowId": "900", "revision": {"$gt": 1}},
    {"rowId": {"$gt": 899}},
    {"trigger.revision": "of the row"},
    {"trigger.callDuration": 61},
    {"previous.callRating": {"$exists": True}},
    {"previous.callDuration": {"$lt": 61}},
    {"$and": [{"act": "call"}, {"rec": True}]},
    {"$or": [{"act": "land"}, {"act": "call"}]},
    {"$not": {"act": "land"}},
    {"callDuration": {"$not": {"$lt": 61}}},
    {"callDuration": {"$or": [{"$lt": 5}, {"$gt": 60}], "$and": [{"$ne": 5}, 61]}},
]
FAILS: list[dict[str, Any]] = [
    {"act": "CALL"},
    {"act": "call", "callDuration": {"$gt": 61}},
    {"callDuration": {"$gt": 60, "$lt": 61}},
    {"act": {"$ne": "call"}},
    {"act": {"$nin": ["call"]}},
    {"act": {"$in": ["land", 5, True, None]}},
    {"act": {"$gt": 5}},
    {"act": 5},
    {"act": True},
    {"act": None},
    {"c_number": "7"},
    {"c_number": {"$gt": "6"}},
    {"c_number": {"$startsWith": "7"}},
    {"c_code": 7},
    {"c_flag": True},
    {"c_one": True},
    {"c_object": {"$in": ["a"]}},
    {"c_object": "a"},
    {"c_object": {"$gt": "a"}},
    {"c_empty": 0},
    {"c_empty": None},
    {"rec": False},
    {"rec": None},
    {"ringTime": 0},
    {"ringTime": {"$lt": 5}},
    {"ringTime": {"$exists": False}},
    {"missing": "x"},
    {"missing": None},
    {"missing": {"$exists": True}},
    {"missing": {"$in": ["x", None]}},
    {"missing": {"$gt": 0}},
    {"missing": {"$lt": 0}},
    {"missing": {"$contains": ""}},
    {"missing": {"$eq": "x", "$ne": "y"}},
    {"c_list": {"$nin": ["x", 3]}},
    {"c_list": "b"},
    {"classes": {"$ne": "goal"}},
    {"classes": "visit"},
    {"notes.note": "urgent"},
    {"revision": 1},
    {"previous.act": {"$exists": True}},
    {"$and": [{"act": "call"}, {"rec": False}]},
    {"$or": [{"act": "land"}, {"rec": False}]},
    {"$not": {"act": "call"}},
    {"$not": {"$or": [{"act": "call"}, {"act": "land"}]}},
    {"callDuration": {"$not": {"$gt": 60}}},
]

REFUSED: list[tuple[Any, tuple[str | int, ...]]] = [
    ([], ()),
    ("act", ()),
    (None, ()),
    ({"$nor": []}, ("$nor",)),
    ({"act": {"$like": "c"}}, ("act", "$like")),
    ({"act": {"eq": "c"}}, ("act", "eq")),
    ({"act": {}}, ("act",)),
    ({"act": ["call"]}, ("act",)),
    ({"act": {"$eq": {"a": 1}}}, ("act", "$eq")),
    ({"act": {"$in": "call"}}, ("act", "$in")),
    ({"act": {"$in": []}}, ("act", "$in")),
    ({"act": {"$in": ["a", ["b"]]}}, ("act", "$in", 1)),
    ({"act": {"$nin": {}}}, ("act", "$nin")),
    ({"act": {"$gt": ["a"]}}, ("act", "$gt")),
    ({"act": {"$gt": True}}, ("act", "$gt")),
    ({"act": {"$lt": None}}, ("act", "$lt")),
    ({"act": {"$contains": 5}}, ("act", "$contains")),
    ({"act": {"$exists": "yes"}}, ("act", "$exists")),
    ({"act": {"$not": {"$like": 1}}}, ("act", "$not", "$like")),
    ({"act": {"$or": [{"$eq": "a"}, {"$like": 1}]}}, ("act", "$or", 1, "$like")),
    ({"$and": {"act": "call"}}, ("$and",)),
    ({"$or": []}, ("$or",)),
    ({"$and": [{"act": "call"}, 5]}, ("$and", 1)),
    ({"$not": [{"act": "call"}]}, ("$not",)),
    ({"$and": [{"$or": [{"act": {"$in": 1}}]}]}, ("$and", 0, "$or", 0, "act", "$in")),
    ({"callDuration": "60"}, ("callDuration",)),
    ({"callDuration": {"$gt": "60"}}, ("callDuration", "$gt")),
    ({"callDuration": {"$in": [1, "2"]}}, ("callDuration", "$in", 1)),
    ({"callDuration": True}, ("callDuration",)),
    ({"callDuration": {"$startsWith": "6"}}, ("callDuration", "$startsWith")),
    ({"previous.callDuration": "60"}, ("previous.callDuration",)),
    ({"igrp": "3"}, ("igrp",)),
    ({"rec": 1}, ("rec",)),
    ({"rec": "1"}, ("rec",)),
    ({"act": "x" * 70_000}, ()),
    ({"act": {"$in": ["x"] * (MAX_VALUES + 1)}}, ("act", "$in")),
    ({"act": object()}, ()),
    ({"act": float("nan")}, ("act",)),
    ({"act": float("inf")}, ("act",)),
]


@pytest.mark.parametrize("source", PASSES, ids=repr)
def test_it_passes_what_it_describes(source: dict[str, Any]) -> None:
    """The rules of docs/events.md, one by one."""
    assert compile_filter(source)(DATA)


@pytest.mark.parametrize("source", FAILS, ids=repr)
def test_it_stops_everything_else(source: dict[str, Any]) -> None:
    """What is not described does not pass: another case, another kind, an absent field."""
    assert not compile_filter(source)(DATA)


@pytest.mark.parametrize(("source", "path"), REFUSED, ids=[str(n) for n in range(len(REFUSED))])
def test_what_is_no_filter_is_refused_with_its_place(source: Any, path: tuple[str | int, ...]) -> None:
    """A typo must not become a filter that passes nothing, or everything."""
    with pytest.raises(Invalid) as refused:
        compile_filter(source)
    assert [fault.path for fault in refused.value.faults] == [path]


def test_filters_have_bounds() -> None:
    """As deep and as long as is allowed, and not more; hostile nesting is refused like any other."""
    deep: dict[str, Any] = {"act": "call"}
    for _ in range(MAX_DEPTH - 1):
        deep = {"$not": deep}
    compile_filter(deep)
    with pytest.raises(Invalid, match="nested"):
        compile_filter({"$not": deep})
    many = {f"c_{n}": "x" for n in range(MAX_CONDITIONS - 1)}
    compile_filter(many)
    with pytest.raises(Invalid, match="too many"):
        compile_filter(many | {"act": "call"})
    hostile: Any = []
    for _ in range(5000):
        hostile = [hostile]
    with pytest.raises(Invalid):
        compile_filter({"act": hostile})


def calls_of(test: Callable[[], object]) -> int:
    """How many functions run while `test` does: a measure of its work that no other load changes."""
    count = 0

    def note(_frame: object, event: str, _what: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        test()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("operator_name", ["$in", "$nin"])
@pytest.mark.parametrize("value", ["9", 9, Decimal("9.5"), True, None, "x"], ids=repr)
@pytest.mark.parametrize("kind", [int, str, lambda n: n + 0.5], ids=["int", "text", "decimal"])
def test_the_values_of_a_list_are_looked_up_and_not_tried_one_by_one(
    operator_name: str, value: Any, kind: Callable[[int], Any]
) -> None:
    """A thousand values cost an event as much as ten do."""
    few, many = (
        compile_filter({"c_x": {operator_name: [kind(n) for n in range(20, 20 + size)]}}) for size in (10, MAX_VALUES)
    )
    data = {"trigger": {"c_x": value}}
    assert calls_of(lambda: many(data)) == calls_of(lambda: few(data))


def test_a_list_of_values_tells_numbers_text_and_constants_apart() -> None:
    """1, "1", 1.0 and true are not all the same, though they are for a set."""
    for operands, passing in (
        ([1], {1: True, "1": True, "1.0": True, Decimal("1.00"): True, "01": False}),
        (["1"], {"1": True, 1: False, "1.0": False}),
        ([True, 0], {0: True, "0": True, 1: False, "true": False}),
        ([None], {0: False, "": False}),
    ):
        test = compile_filter({"c_x": {"$in": operands}})
        assert {value: test({"trigger": {"c_x": value}}) for value in passing} == passing
    assert compile_filter({"c_x": {"$in": [False, 5]}})({"trigger": {"c_x": False}})
    assert not compile_filter({"c_x": {"$in": [1]}})({"trigger": {"c_x": True}})


def test_a_long_list_or_text_in_an_event_is_looked_at_up_to_a_bound() -> None:
    """A row of a mebibyte costs a filter of 256 conditions no more than a long row does."""
    long = ["x"] * MAX_ENTRIES + ["y"]
    deep = [{"b": [{"c": "x"}] * 100}] * 100 + [{"b": [{"c": "y"}]}]
    text = "x" * MAX_SEARCHED + "y"
    for name, value, inside in (("c_x", long, "x"), ("c_a.b.c", deep, "x"), ("c_t", text, "x")):
        trigger = {"trigger": {name.split(".")[0]: value}}
        operators = ("$contains",) if isinstance(value, str) else ("$eq", "$contains", "$in")
        for op in operators:
            wanted: Any = [inside] if op == "$in" else inside
            assert compile_filter({name: {op: wanted}})(trigger)
            assert not compile_filter({name: {op: ["y"] if op == "$in" else "y"}})(trigger)


def test_a_path_through_lists_leads_to_one_flat_list() -> None:
    """Whatever lists stand on its way, also lists of lists; without one it leads to nothing."""
    data = {"trigger": {"c_a": [{"b": [1, 2]}, [{"b": 3}], {"x": 0}, {"b": []}], "c_e": []}}
    for value in (1, 2, 3):
        assert compile_filter({"c_a.b": value})(data)
    assert not compile_filter({"c_a.b": 4})(data)
    assert compile_filter({"c_a.y": {"$exists": False}, "c_e.b": {"$exists": False}})(data)


def test_every_operator_is_documented() -> None:
    """docs/events.md tells of each operator that there is, and of no other."""
    page = Path(__file__).parents[3].joinpath("docs/events.md").read_text()
    rows = re.findall(r"^\| (`\$[^|]+) \|", page, re.MULTILINE)
    assert set(re.findall(r"\$\w+", " ".join(rows))) == {*OPERATORS, "$and", "$or", "$not"}


@pytest.mark.parametrize(
    ("source", "pinned"),
    [
        ({"act": "call"}, [("act", {"call"})]),
        ({"act": {"$in": ["call", "land"]}, "goal": 5}, [("act", {"call", "land"}), ("goal", {5})]),
        ({"txv": {"$eq": 1.5, "$gt": 1}}, [("txv", {Decimal("1.5")})]),
        ({"$and": [{"act": "call"}, {"$and": [{"c_x": "y"}]}]}, [("act", {"call"}), ("c_x", {"y"})]),
        ({"$or": [{"act": "call"}]}, []),
        ({"$not": {"act": "call"}}, []),
        ({"act": {"$not": {"$eq": "call"}}}, []),
        ({"act": {"$ne": "call"}}, []),
        ({"rec": True}, []),
        ({"act": None}, []),
        ({"act": {"$in": ["call", None]}}, []),
    ],
)
def test_a_filter_tells_what_it_pins(source: dict[str, Any], pinned: list[tuple[str, set[Any]]]) -> None:
    """Only what must hold, and only values that can be looked up, may take an endpoint out of a search."""
    compiled = compile_filter(source)
    assert [(each.path, set(each.values)) for each in compiled.discriminators] == pinned
    assert compiled.discriminator == (compiled.discriminators[0] if pinned else None)


def test_both_filters_must_pass() -> None:
    """An application's filter and an endpoint's: neither escapes the other, and both pin."""
    joined = both(compile_filter({"act": "call"}), compile_filter({"goal": "12"}))
    assert joined(DATA)
    assert not both(compile_filter({"act": "land"}), compile_filter({}))(DATA)
    assert not both(compile_filter({}), compile_filter({"act": "land"}))(DATA)
    assert [each.path for each in joined.discriminators] == ["act", "goal"]


fields = st.sampled_from(["a", "b", "c"])
numbers = st.integers(-3, 3)
ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": operator.eq,
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


@given(value=numbers, operand=numbers, name=st.sampled_from(sorted(ORDERS)), halves=st.booleans())
@settings(max_examples=100)
def test_numbers_compare_as_numbers_however_they_are_written(value: int, operand: int, name: str, halves: bool) -> None:
    """As an int, a decimal or text: what counts is what the number is worth."""
    half = Decimal("0.50") if halves else 0
    test = compile_filter({"c_x": {name: float(operand + half)}})
    expected = ORDERS[name](value + half, operand + half)
    for form in (value + half, Decimal(value) + half, str(value + half), float(value + half)):
        assert test({"trigger": {"c_x": form}}) is expected


conditions = st.recursive(
    st.dictionaries(fields, numbers | st.sampled_from(["x", "y"]), min_size=1, max_size=2),
    lambda inner: (
        st.builds(lambda op, items: {op: items}, st.sampled_from(["$and", "$or"]), st.lists(inner, min_size=1))
        | inner.map(lambda item: {"$not": item})
    ),
    max_leaves=6,
)


def holds(source: dict[str, Any], trigger: dict[str, Any]) -> bool:
    """The meaning of a filter, written down plainly."""
    rules: dict[str, Callable[[Any], bool]] = {
        "$and": lambda items: all(holds(item, trigger) for item in items),
        "$or": lambda items: any(holds(item, trigger) for item in items),
        "$not": lambda item: not holds(item, trigger),
    }
    return all(
        rules[name](value) if name in rules else name in trigger and trigger[name] == value
        for name, value in source.items()
    )


@given(source=conditions, trigger=st.dictionaries(fields, numbers | st.sampled_from(["x", "y"])))
@settings(max_examples=100)
def test_conditions_combine_as_logic_does(source: dict[str, Any], trigger: dict[str, Any]) -> None:
    """However $and, $or and $not are nested, it means what it says; and what it pins is true of all that pass."""
    try:
        compiled = compile_filter(source)
    except Invalid:
        reject()
    assert compiled({"trigger": trigger}) is holds(source, trigger)
    if compiled({"trigger": trigger}):
        assert all(trigger[path] in values for path, values in compiled.discriminators)
