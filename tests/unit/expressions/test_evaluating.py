"""Evaluating in this process: results are JSON, failures are typed, and digits are not lost."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.expressions.compiling import Cache
from relay.expressions.evaluating import DEEPEST_RESULT, Failure, evaluate, readable
from relay.expressions.evaluator import BRIEF
from relay.expressions.functions import FUNCTIONS
from tests.unit.expressions.test_checking import PIECES

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
CACHE = Cache()


def run(expression: str, data: bytes = b"{}", **bindings: bytes) -> Any:
    """The result as an object, or a Failure."""
    found = evaluate(CACHE, {"x": expression}, data, bindings, BRIEF)
    if isinstance(found, Failure):
        return found
    return None if found["x"] is None else json.loads(found["x"], parse_constant=pytest.fail)


@given(st.lists(st.sampled_from(PIECES), max_size=20).map("".join), JSON)
def test_every_expression_gives_json_or_a_failure(expression: str, data: Any) -> None:
    """Never another exception, and never NaN or Infinity."""
    run(expression, json.dumps(data).encode())


@given(st.sampled_from(sorted(FUNCTIONS)), st.lists(JSON, max_size=3))
def test_our_functions_give_a_text_null_or_a_failure(name: str, arguments: list[Any]) -> None:
    """Whatever they are called with."""
    called = ", ".join(f"data[{at}]" for at in range(len(arguments)))
    found = run(f"${name}({called})", json.dumps({"data": arguments}).encode())
    assert found is None or isinstance(found, str | Failure)


@given(JSON)
def test_the_same_data_gives_the_same_result(data: Any) -> None:
    """The data itself, but for integers that JavaScript's numbers cannot hold."""
    found = run('{"d": $$}', json.dumps({"v": data}).encode())
    assert _as_numbers(found) == _as_numbers({"d": {"v": _as_texts(data)}})


def _as_texts(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _as_texts(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_as_texts(value) for value in data]
    return str(data) if isinstance(data, int) and abs(data) > 2**53 else data


def _as_numbers(data: Any) -> Any:
    """Floats that are whole are written as integers."""
    return json.loads(json.dumps(data), parse_int=float)


@pytest.mark.parametrize(
    ("data", "result"),
    [
        (b"9007199254740992", 9007199254740992),
        (b"9007199254740993", "9007199254740993"),
        (b"-9223372036854775808", "-9223372036854775808"),
        (b"9223372036854775807", "9223372036854775807"),
        (b"1.10", 1.1),
        (b"1e2", 100),
        (b"0.1", 0.1),
        (b'"9223372036854775807"', "9223372036854775807"),
        (b'"\\ud83d\\ude00"', "😀"),
        (b'"a\\ud83d"', "a\ufffd"),
        (b'"\\udc00b"', "\ufffdb"),
    ],
)
def test_digits_and_texts_survive(data: bytes, result: object) -> None:
    """In the data and in bindings."""
    assert run("v", b'{"v": ' + data + b"}") == result
    assert run("$b", b=data) == result


@pytest.mark.parametrize(
    ("expression", "data", "kind"),
    [
        ("1/0", b"{}", "failed"),
        ("$power(10, 400)", b"{}", "failed"),
        ("a", b"{", "failed"),
        ("a", b'{"a": NaN}', "failed"),
        ("a", b'{"a": 1e999}', "failed"),
        ("a", b'{"a": "\xff"}', "failed"),
        ("a", b"[" * 200 + b"]" * 200, "failed"),
        ("a", b"[" * 100_000, "failed"),
        ("a", b'"' + b"x" * (8 << 20) + b'"', "failed"),
        ("a +", b"{}", "failed"),
        ("$now()", b"{}", "failed"),
        ('$e164("1", "England")', b"{}", "failed"),
        ("$sha256(1)", b"{}", "failed"),
        ("$duration(-1, 'S')", b"{}", "failed"),
        ("$duration(1, 'HHH')", b"{}", "failed"),
        ("$duration(1, 'S S')", b"{}", "failed"),
        ("$duration(1, '')", b"{}", "failed"),
        ("[1..10001]", b"{}", "too_large"),
        ("$f := function($n) { 1 + $f($n) }; $f(1)", b"{}", "failed"),
        ("($f := function($n) { 1 + $f($n) }; $f(1))", b"{}", "too_large"),
        ("($f := function($n) { $f($n) }; $f(1))", b"{}", "too_slow"),
        ('$pad("x", 1048577)', b"{}", "too_large"),
        ('[1..3].$pad("x", 500000)', b"{}", "too_large"),
        (
            '($f := function($a, $n) { $n = 0 ? $a : $f({"a": $a}, $n - 1) }; $f(1, 101))',
            b"{}",
            "failed",
        ),
    ],
)
def test_a_failure_says_whose_limit_was_reached(expression: str, data: bytes, kind: str) -> None:
    """Errors of the expression, of the data, and limits."""
    found = run(expression, data)
    assert isinstance(found, Failure), found
    assert (found.name, found.kind) == ("x", kind)
    assert len(found.message) <= 500


@pytest.mark.parametrize("value", [b"NaN", b"-Infinity", b"1e999", b"{", b"", b"\xff", b"[" * 100_000])
def test_a_binding_that_is_not_json_is_a_failure(value: bytes) -> None:
    """As it is for the data."""
    found = run("$b", b=value)
    assert isinstance(found, Failure)
    assert found.kind == "failed"


def test_a_result_may_be_as_deep_as_the_limit() -> None:
    """And one level more is too deep; brackets in texts do not count."""
    for depth, fails in ((DEEPEST_RESULT, False), (DEEPEST_RESULT + 1, True)):
        deep = "($f := function($a, $n) { $n = 0 ? $a : $f({'a': $a}, $n - 1) }; $f(1, n))"
        assert isinstance(run(deep, b'{"n": %d}' % depth), Failure) == fails
    assert run('"' + "[" * 200 + '"') == "[" * 200


@pytest.mark.parametrize(
    "expression",
    [
        "$number(p)",
        "$uppercase(o)",
        "p + 1",
        "-p",
        "$power(p, 2)",
        "$sum([p])",
        "{o: 1}",
        "p < 1",
    ],
)
def test_messages_have_no_values_of_the_data(expression: str) -> None:
    """A message goes where the data must not go."""
    found = run(expression, b'{"p": "+447700900123", "o": {"q": "+447700900123"}}')
    assert isinstance(found, Failure), found
    assert "7700" not in found.message


def test_a_message_of_the_expressions_own_is_kept() -> None:
    """$error and $assert are how an expression says what is wrong."""
    assert run('$error("no owner for " & team)', b'{"team": "A"}').message == "no owner for A"


def test_evaluations_are_the_same_at_any_time() -> None:
    """Pictures without a date use a fixed one."""
    assert run('$toMillis("10:30", "[H01]:[m01]")') == 37_800_000


def test_the_first_failure_ends_all() -> None:
    """And has the name of its expression."""
    found = evaluate(CACHE, {"a": "1", "b": "-x", "c": "2"}, b'{"x": "y"}', {}, BRIEF)
    assert isinstance(found, Failure)
    assert (found.name, found.position) == ("b", 0)


def test_data_without_large_integers_is_not_decoded() -> None:
    """The usual case costs nothing."""
    data = b'{"a": "9223372036854775807", "b": 123456789012345}'
    assert readable(data) == data.decode()
