"""The receivers of docs/receiving.md do what the page says; `make test-clients` runs those of other languages."""

import sys
from pathlib import Path

from tests.clients.receiving import check, receiver

PYTHON = Path(__file__).parents[2] / "clients/receivers/python/receiver.py"


async def test_the_python_receiver(tmp_path: Path) -> None:
    """It verifies raw bodies with both secrets, refuses what is not genuine, and processes each event once."""
    async with receiver([sys.executable, str(PYTHON)], tmp_path) as on:
        await check(on)
