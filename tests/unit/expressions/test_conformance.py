"""JSONata as its reference implementation has it: conformance.json has what jsonata 2.2.2 for JavaScript gave."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from jlens import Expression, JlensError

RECORDED = json.loads((Path(__file__).parent / "conformance.json").read_text())
OURS = {"1/0": "D1001"}
"""JavaScript divides by zero, and writes Infinity as null. An error says what is wrong."""


@pytest.mark.parametrize("case", RECORDED["cases"], ids=[case["expression"] for case in RECORDED["cases"]])
def test_a_result_is_that_of_the_reference(case: dict[str, Any]) -> None:
    """The result, nothing, or the code of the error."""
    wanted = case.get("error", OURS.get(case["expression"]))
    with pytest.raises(JlensError) if wanted else nullcontext() as caught:
        found = Expression(case["expression"]).evaluate_json(json.dumps(RECORDED["data"]))
    if caught is None:
        # A function is not JSON, so it is nothing here.
        assert (None if found is None else json.loads(found)) == case.get("result")
    else:
        assert caught.value.code == wanted
