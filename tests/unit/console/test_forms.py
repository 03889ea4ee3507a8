"""Numbers in the fields of forms: a number is read only where it is certain, and never changed."""

import pytest

from relay.console.forms import decimal, whole


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("1234567", 1234567),
        ("141,248,745", 141248745),
        ("141 248 745", 141248745),
        ("1,000", 1000),
        ("-5", -5),
        ("-1,000", -1000),
        ("123456789012345678901234567890", 123456789012345678901234567890),
    ],
)
def test_a_whole_number_is_read(text: str, number: int) -> None:
    """With thousands apart or not, negative ones too, and any that is too large for the API to take."""
    assert whole(text) == number


@pytest.mark.parametrize(
    "text",
    [
        *("", "soon", "2,5", "1,2", "2.5", "1,23,456", "1234,567", "141 248,745", "1,000 ", ",100", "100,", "--1"),
        *("- 1", "+1", "1e3", "٣", "1\n", "1" * 31),
    ],
)
def test_everything_else_goes_to_the_api_as_it_is(text: str) -> None:
    """The API says what is wrong with it."""
    assert whole(text) == text


@pytest.mark.parametrize(
    ("text", "number"), [("0.5", 0.5), ("60", 60), ("-1", -1), (".5", 0.5), ("1,000.25", 1000.25), ("9" * 30, 1e30)]
)
def test_a_decimal_number_is_read(text: str, number: float) -> None:
    """With a point."""
    assert decimal(text) == number


@pytest.mark.parametrize("text", ["", ".", "nan", "inf", "1e3", "2,5", "1.2.3", "1.000,5", "0.1,000", "٣", "1" * 31])
def test_other_decimals_go_to_the_api_as_they_are(text: str) -> None:
    """The API says what is wrong with it."""
    assert decimal(text) == text
