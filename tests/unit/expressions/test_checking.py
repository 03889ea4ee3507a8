"""What is refused before it is stored, and where the error points."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import ExpressionRefused
from relay.expressions.compiling import LONGEST, Cache, check, compile_expression
from relay.expressions.functions import FUNCTIONS, REFUSED

PIECES = [
    "$x", "$y", ":=", "(", ")", "{", "}", "[", "]", "a", ".", '"', "'", "`", "/", "\\", "$", "$$", "%", "*", "**", "1",
    "1e9", "..", "~>", "|", "?", ":", ";", ",", "function", "λ", "<n:n>", "=", "$sum", "$e164", "$now", "@", "#", "^",
    "<", ">", "/*", "*/", "and", "in", "??", "?:", "null", " ", "\n", "é", "😀", "\ud800", "\x00", "-", "+", "&", "!",
]  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "position", "says"),
    [
        ("a +", 3, "Unexpected end"),
        ("a b", 2, "Syntax error"),
        ('{"a": [1, 2}', 11, "Expected"),
        ('"open', 0, "String literal must be terminated"),
        ("😀 + é )", 6, "Syntax error"),
        ("a + $foo(1)", 4, "no function $foo"),
        ("$map(a, $foo)", 8, "no variable $foo"),
        ("$foo & $bar", 0, "no variable $foo"),
        ('"$foo" & `$foo` & /* $foo */ $foo', 29, "no variable $foo"),
        ("function($x) { $x }($z)", 20, "no variable $z"),
        ("a[\ud800", 2, "half of a surrogate pair"),
        ("a ~> $nosuch", 5, "no variable $nosuch"),
        ("$round($random() * 10)", 7, "$random is not available"),
        ('$eval("1")', 0, "$eval is not available"),
        ("($f := $now; $f())", 7, "$now is not available"),
        ("/* */ $millis()", 6, "$millis is not available"),
        ("a" * (LONGEST + 1), LONGEST, "more than 16,384 characters"),
        ("(" * 2000 + "1" + ")" * 2000, 1000, "nested too deeply"),
        ("/a/ & /(/", None, "regular expression"),
    ],
)
def test_a_wrong_expression_is_refused_with_its_position(expression: str, position: int | None, says: str) -> None:
    """The position is that of the first character that is wrong."""
    with pytest.raises(ExpressionRefused) as caught:
        check(expression)
    assert says.lower() in caught.value.message.lower()
    assert position is None or caught.value.position == position


@pytest.mark.parametrize(
    "expression",
    [
        "$found.id",
        "$e164(a) & $national(a) & $sha256(a) & $uuid5(a) & $duration(a, 'S')",
        "($x := 1; $x + $found)",
        "($f := function($n) { $g($n) }; $g := function($n) { $n }; $f(1))",
        "a@$v.b#$i[$i = 1].($v.c)",
        "$map(a, function($v, $k) { $v & $k })",
        "$.a & $$.b",
        '$contains(a, /"\\$now/) ? "$now"',
        "$sum(a) ~> $string",
    ],
)
def test_what_is_bound_or_built_in_may_be_used(expression: str) -> None:
    """Bindings, functions, and variables that the expression sets."""
    check(expression, bindings=("found",))


def test_a_binding_is_known_only_where_it_exists() -> None:
    """The message lists the variables that there are."""
    with pytest.raises(ExpressionRefused, match=r"\$answer, \$found"):
        check("$other", bindings=("found", "answer"))


def test_no_function_of_ours_hides_one_of_the_language() -> None:
    """Only those that are refused are replaced."""
    for name in FUNCTIONS:
        assert compile_expression(f"$type(${name})").evaluate(1) == "function"
    assert not FUNCTIONS.keys() & REFUSED.keys()


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join) | st.text(max_size=50))
def test_nothing_but_the_typed_error_is_raised(expression: str) -> None:
    """Whatever the text is."""
    try:
        check(expression)
    except ExpressionRefused as error:
        refused = error
    else:
        return
    assert refused.message
    assert refused.position is None or 0 <= refused.position <= len(expression)


def test_the_cache_is_bounded_by_the_length_of_what_it_keeps() -> None:
    """The last used stay, a failed one is not kept, and one that is too large for it is only compiled."""
    cache = Cache(most_characters=10)
    first = cache.get("a + 1")
    cache.get("b + 1")
    assert cache.get("a + 1") is first
    cache.get("c + 1")
    assert cache.get("a + 1") is first
    assert len(cache) == 2
    with pytest.raises(ExpressionRefused):
        cache.get("a +")
    assert len(cache) == 2
    assert cache.get("a + 1 + 2 + 3 + 4").evaluate({"a": 1}) == 11
    assert len(cache) == 0
