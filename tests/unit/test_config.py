"""Settings: read from the environment, and refused all at once."""

import pytest

from relay.config import load
from relay.errors import Invalid

NEEDED = {"RELAY_ADMIN_KEY": "k" * 16, "RELAY_ENCRYPTION_KEY": "A" * 43 + "="}


@pytest.mark.parametrize("share", ["0", "1", "75", "much", "-0.5", "nan"])
def test_a_share_is_a_share(share: str) -> None:
    """What is none is refused, by the name of the variable."""
    with pytest.raises(Invalid, match="RELAY_MEMORY_SHED_SHARE: must be a share"):
        load({**NEEDED, "RELAY_MEMORY_SHED_SHARE": share})


@pytest.mark.parametrize("shares", [{"SHED": "0.9"}, {"STOP": "0.7"}, {"SHED": "0.6", "STOP": "0.5"}])
def test_history_is_shed_before_polling_stops(shares: dict[str, str]) -> None:
    """The other way round, sources would stop for the sake of history; it is told beside all other faults."""
    wrong = {f"RELAY_MEMORY_{name}_SHARE": share for name, share in shares.items()}
    with pytest.raises(Invalid) as refused:
        load({**NEEDED, **wrong, "RELAY_PORT": "many"})
    assert [fault.path for fault in refused.value.faults] == [("RELAY_PORT",), ("RELAY_MEMORY_STOP_SHARE",)]
    assert load({**NEEDED, "RELAY_MEMORY_SHED_SHARE": "0.85"}).memory_stop_share == 0.85
