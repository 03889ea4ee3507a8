"""The grammar of filters, against an oracle that is written the plain way."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.sandbox.columns import FILTERABLE
from relay.sandbox.filters import OPERANDS, compile_test, parse_filter, sort_key
from relay.sandbox.refusals import BadParameter

texts = st.text(alphabet="aAbB-,1290. é*[", max_size=6)
numbers = st.integers(-1000, 1000).map(str) | st.decimals(-9, 9, places=2).map(str)


@settings(max_examples=100)
@given(st.sampled_from(sorted(FILTERABLE)), st.sampled_from(sorted(OPERANDS)), texts)
def test_a_filter_is_read_as_it_was_written(field: str, operand: str, comparison: str) -> None:
    """Only the first three hyphens separate: the comparison may have its own."""
    assert parse_filter(f"{field}-{operand}-value-{comparison}") == (field, operand, comparison)


@settings(max_examples=100)
@given(texts, texts)
def test_text_operands_mean_what_python_means(value: str, comparison: str) -> None:
    """Each text operand, its insensitive form and its negation agree with the plain expression."""
    low, wanted = value.casefold(), comparison.casefold()
    expected = {
        "eq": value == comparison,
        "eqi": low == wanted,
        "in": value in comparison.split(","),
        "ini": low in wanted.split(","),
        "inc": comparison in value,
        "inci": wanted in low,
        "begins": value.startswith(comparison),
        "beginsi": low.startswith(wanted),
    }
    negations = {"eq": "ne", "eqi": "nei"} | {name: f"n{name}" for name in expected if not name.startswith("eq")}
    for operand, holds in expected.items():
        assert _passes(value, operand, comparison) is holds
        assert _passes(value, negations[operand], comparison) is not holds
    assert _passes(value, "ends", comparison) is value.endswith(comparison)
    assert _passes(value, "endsi", comparison) is low.endswith(wanted)


@settings(max_examples=100)
@given(numbers, numbers)
def test_numbers_are_compared_by_size(value: str, comparison: str) -> None:
    """gt, ge, lt and le take strings of digits as numbers: 9 is below 10 (hazard H8)."""
    left, right = float(value), float(comparison)
    results = [_passes(value, operand, comparison) for operand in ("gt", "ge", "lt", "le")]
    assert results == [left > right, left >= right, left < right, left <= right]
    assert (sort_key(value) < sort_key(comparison)) is (left < right)


@pytest.mark.parametrize(
    ("operand", "comparison", "passing", "failing"),
    [
        ("gt", "2026-01-05 10", "2026-01-05 10:00:01", "2026-01-04 23:59:59"),
        ("gt", "9007199254740992", "9007199254740993", "9007199254740992"),
        ("re", "^0[27]", "0204", "1207"),
        ("nre", "^0[27]", "1207", "0204"),
        ("glob", "NORMAL_*_A", "NORMAL_CLEARING_A", "normal_clearing_a"),
        ("bool", "true", "x", ""),
        ("bool", "false", "", "x"),
        ("innet", "203.0.113.0/24", "203.0.113.9", "203.0.114.9"),
        ("innet", "203.0.113.0/24", "203.0.113.9", "nonsense"),
    ],
)
def test_the_other_operands(operand: str, comparison: str, passing: str, failing: str) -> None:
    """Each operand lets through what it should, and nothing else."""
    assert _passes(passing, operand, comparison)
    assert not _passes(failing, operand, comparison)


def test_a_missing_column_counts_as_empty() -> None:
    """A row without the column is as one where it is empty (hazard H9)."""
    assert compile_test("txc", "bool", "false")({})
    assert compile_test("txc", "eq", "")({})
    assert not compile_test("txc", "eq", "GBP")({})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rowId",
        "rowId-gt",
        "rowId-gt-5",
        "rowId-gt-values-5",
        "rowId-above-value-5",
        "pt_gclid-eq-value-x",
        "x-eq-value-",
    ],
)
def test_what_is_no_filter_is_refused(text: str) -> None:
    """Broken grammar, unknown operands and columns that cannot be filtered by are errors (hazard H32)."""
    with pytest.raises(BadParameter):
        parse_filter(text)


@pytest.mark.parametrize(("operand", "comparison"), [("re", "("), ("bool", "yes"), ("innet", "300.0.0.0/8")])
def test_a_comparison_that_the_operand_cannot_use_is_refused(operand: str, comparison: str) -> None:
    """A broken pattern, flag or network is an error, not a filter that matches nothing."""
    with pytest.raises(BadParameter):
        compile_test("act", operand, comparison)


def _passes(value: str, operand: str, comparison: str) -> bool:
    return compile_test("act", operand, comparison)({"act": value})
