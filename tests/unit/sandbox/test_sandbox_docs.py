"""The page about the sandbox keeps up with it."""

from pathlib import Path

from relay.sandbox.filters import OPERANDS
from relay.sandbox.hazards import Name

PAGE = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text()


def test_every_hazard_and_operand_is_on_the_page() -> None:
    """Whoever adds a switch or an operand also says what it does, or that it is a guess."""
    assert [name for name in (*Name, *OPERANDS) if f"`{name}`" not in PAGE] == []
