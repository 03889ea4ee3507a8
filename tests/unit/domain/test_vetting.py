"""What a filter that somebody writes must keep to: fields and classes that exist, and branches that say something."""

from typing import Any

import msgspec
import pytest

from relay.domain.event_types import CLASSES
from relay.domain.filtering import MAX_FAULTS, compile_filter, vet_filter
from relay.domain.normalising import KINDS
from relay.domain.paths import ENVELOPE_FIELDS
from relay.domain.vetting import MAX_ALL_VALUES, MAX_DECLARED, MAX_PATH, MAX_STEPS
from relay.errors import Fault, Invalid

ACCEPTED: list[dict[str, Any]] = [
    *({name: {"$exists": True}} for name in sorted({*KINDS, *ENVELOPE_FIELDS})),
    *({f"{row}.{name}": {"$exists": True}} for row in ("trigger", "previous") for name in ("act", "c_x", "notes.note")),
    *({"classes": {"$in": [name]}} for name in CLASSES),
    {"c_anything.at.all": 1},
    {"pt_gclid": "x"},
    {"notes.note": {"$contains": "urgent"}},
    {"notes.createDatetime": {"$gt": "2020"}},
    {"classes": {"$contains": "ca"}},
    {"repaired": True},
    {"$fields": ["leadStatus"], "leadStatus": "won", "trigger.leadStatus": {"$ne": "lost"}, "leadStatus.by": "jo"},
    {"$or": [{"act": "call"}, {"$not": {"act": "land"}}]},
]

REFUSED: list[tuple[dict[str, Any], tuple[str | int, ...], str]] = [
    ({"callDuraton": {"$gt": 5}}, ("callDuraton",), "callDuration"),
    ({"callduration": 5}, ("callduration",), "callDuration"),
    ({"trigger.callDuraton": 5}, ("trigger.callDuraton",), "trigger.callDuration"),
    ({"previous.callDuraton": 5}, ("previous.callDuraton",), "previous.callDuration"),
    ({"$or": [{"act": "call"}, {"$not": {"clases": "call"}}]}, ("$or", 1, "$not", "clases"), "classes"),
    ({"C_plan": "gold"}, ("C_plan",), "c_"),
    ({"xyzzy": 1}, ("xyzzy",), "c_ or pt_"),
    ({"": 1}, ("",), "characters"),
    ({"c_" + "x" * MAX_PATH: 1}, ("c_" + "x" * MAX_PATH,), "characters"),
    ({"c_x" + ".x" * MAX_STEPS: 1}, ("c_x" + ".x" * MAX_STEPS,), "names"),
    ({"act.deeper": 1}, ("act.deeper",), "use act itself"),
    ({"classes.x": 1}, ("classes.x",), "use classes itself"),
    ({"notes.nots": "x"}, ("notes.nots",), "note"),
    ({"classes": "cal"}, ("classes",), "call"),
    ({"classes": ["call"]}, ("classes",), "use $in"),
    ({"classes": {"$in": ["call", "vist"]}}, ("classes", "$in", 1), "visit"),
    ({"classes": {"$nin": [5]}}, ("classes", "$nin", 0), "touch_point"),
    ({"classes": {"$not": {"$eq": "Call"}}}, ("classes", "$not", "$eq"), "call"),
    ({"$not": {}}, ("$not",), "is empty"),
    ({"$and": []}, ("$and",), "at least one"),
    ({"$or": []}, ("$or",), "at least one"),
    ({"$or": [{"act": "call"}, {}]}, ("$or", 1), "is empty"),
    ({"$and": [{}]}, ("$and", 0), "is empty"),
    ({"$or": [{"$not": {"$and": [{}]}}]}, ("$or", 0, "$not", "$and", 0), "is empty"),
    ({"act": {}}, ("act",), "is empty"),
    ({"act": {"$not": {}}}, ("act", "$not"), "is empty"),
    ({"act": {"$or": [{}]}}, ("act", "$or", 0), "is empty"),
    ({"act": {"$in": []}}, ("act", "$in"), "at least one"),
    ({"$fields": ["a"]}, (), "is empty"),
    ({"$fields": [], "act": "call"}, ("$fields",), "list"),
    ({"$fields": "a", "act": "call"}, ("$fields",), "list"),
    ({"$fields": ["a"] * (MAX_DECLARED + 1), "act": "call"}, ("$fields",), "list"),
    ({"$fields": ["a", 5], "act": "call"}, ("$fields", 1), "name"),
    ({"$and": [{"$fields": ["a"], "act": "call"}]}, ("$and", 0, "$fields"), "not allowed here"),
    ({"$an": [{"act": "call"}]}, ("$an",), "$and"),
    ({"act": {"$startswith": "c"}}, ("act", "$startswith"), "$startsWith"),
]


@pytest.mark.parametrize("source", ACCEPTED, ids=repr)
def test_a_filter_on_known_open_or_declared_fields_is_accepted(source: dict[str, Any]) -> None:
    """Every column, every field of the event itself, custom variables, landing tags, and what the filter declares."""
    vet_filter(source)
    compile_filter(source)


@pytest.mark.parametrize(("source", "path", "says"), REFUSED, ids=[repr(each[0])[:60] for each in REFUSED])
def test_an_unknown_field_or_class_and_an_empty_branch_are_refused(
    source: dict[str, Any], path: tuple[str | int, ...], says: str
) -> None:
    """With the place where it stands and the nearest name, or what is allowed there."""
    with pytest.raises(Invalid) as refused:
        vet_filter(source)
    (fault,) = refused.value.faults
    assert fault.path == path
    assert says in fault.message


@pytest.mark.parametrize("source", [{"callDuraton": 5}, {"$not": {}}, {"$and": [{}]}, {"classes": "cal"}], ids=repr)
def test_a_stored_filter_that_the_new_rules_refuse_still_works(source: dict[str, Any]) -> None:
    """What an earlier release took goes on as it was: the rules are for what is written now."""
    compile_filter(source)
    with pytest.raises(Invalid):
        vet_filter(source)


def test_every_fault_of_a_filter_is_told() -> None:
    """Not the first alone, in the order in which they stand, and up to a bound."""
    source = {"callDuraton": 5, "rec": "yes", "$or": [{}, {"act": {"$like": "x"}}], "callDuration": {"$gt": "1"}}
    with pytest.raises(Invalid) as refused:
        vet_filter(source)
    paths = [fault.path for fault in refused.value.faults]
    assert paths == [
        ("callDuraton",),
        ("rec",),
        ("$or", 0),
        ("$or", 1, "act", "$like"),
        ("callDuration", "$gt"),
    ]
    with pytest.raises(Invalid) as refused:
        vet_filter({f"x{n}": 1 for n in range(100)})
    assert len(refused.value.faults) == MAX_FAULTS


def test_a_filter_has_a_bound_on_its_values_over_all_conditions() -> None:
    """Spread over many lists, they are no fewer; the refusal says how many are allowed."""
    lists = [{"c_x": {"$in": list(range(n, n + 500))}} for n in range(0, MAX_ALL_VALUES, 500)]
    vet_filter({"$or": lists})
    with pytest.raises(Invalid, match=f"at most {MAX_ALL_VALUES} values"):
        vet_filter({"$or": [*lists, {"act": "call"}]})
    compile_filter({"$or": [*lists, {"act": "call"}]})


def test_a_refusal_is_short_however_long_the_filters_words_are() -> None:
    """Nobody gets 60 KB of his own filter back in an error message."""
    for source in (
        {"x" * 60_000: 1},
        {"classes": "x" * 60_000},
        {"c_x": {"$" + "x" * 60_000: 1}},
        {"$" + "x" * 60_000: 1},
    ):
        with pytest.raises(Invalid) as refused:
            vet_filter(source)
        assert max(len(fault.message) for fault in refused.value.faults) < 1000


def test_a_refusal_can_be_answered_as_json() -> None:
    """Faults hold plain text and numbers, whatever the filter held."""
    with pytest.raises(Invalid) as refused:
        vet_filter({"classes": {"$in": [{"a": []}, None, 1.5]}})
    assert all(msgspec.json.encode([fault.path, fault.message]) for fault in refused.value.faults)
    assert all(isinstance(fault, Fault) for fault in refused.value.faults)
