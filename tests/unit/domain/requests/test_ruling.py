"""Verdict rules meet answers of receivers: whatever these contain, a rule fits or it does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.requests.model import VerdictRule
from relay.domain.requests.ruling import Answer, rule_on

RULE = VerdictRule(status="2xx", verdict="dead", pointer="/errors/0")


@pytest.mark.parametrize(
    "body",
    [b'{"errors":["\xff"]}', b'{"errors":[1e999]}', b'{"errors":' + b"[" * 100_000, b'{"errors":[', b"\xff\xfe", b""],
    ids=["no UTF-8", "a number without end", "nested", "cut off", "UTF-16", "empty"],
)
def test_an_answer_that_is_no_json_fits_no_pointer(body: bytes) -> None:
    """Such an answer is a fault of the receiver, and must not stop the relay."""
    assert rule_on([RULE], Answer(200, {}, body), now_ms=0) is None


@given(st.binary(max_size=200))
def test_no_answer_raises(body: bytes) -> None:
    """Also with a rule about the text."""
    rules = [RULE, VerdictRule(status="200", verdict="exists", text="é")]
    rule_on(rules, Answer(200, {}, body), now_ms=0)
    rule_on(rules, Answer(200, {}, b'{"errors":' + body + b"}"), now_ms=0)
