"""What the demo sets up: one installation, one application, subscribers with and without trouble, keys for one run."""

import base64
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from relay.cli.demo.ports import free_port
from relay.cli.demo.verdict import Subscription, Trouble
from relay.domain.model import SourceUid

SOURCE = SourceUid("demo")
APPLICATION = "crm"
IGRP = 1
SUBSCRIPTIONS = (
    Subscription(name="calls", says="calls", types=("call.created", "call.updated")),
    Subscription(
        name="sales",
        says="goals and transactions",
        types=("goal.created", "goal.updated", "transaction.created", "transaction.updated"),
    ),
    Subscription(
        name="leads",
        says="everything, if it is a visit or a call of half a minute",
        filter={"$or": [{"classes": "visit"}, {"callDuration": {"$gte": 30}}]},
    ),
    Subscription(
        name="billing",
        says="goals, and refuses them: its receiver has another secret",
        types=("goal.created",),
        trouble=Trouble.REFUSES,
    ),
    Subscription(name="archive", says="nothing: it is paused, and the relay keeps everything", trouble=Trouble.PAUSED),
)
JUDGED = tuple(each for each in SUBSCRIPTIONS if each.trouble is None)
"""The verdict is about these."""
BROKEN_ROWS = b"""{"rowId":"141247101","act":"call","callDuration":"97","notes":"cut off
{"rowId":"141247102","act":call,"callDuration":"12"}
"""
"""Rows that are no JSON: the relay puts them into quarantine. They are below the first row that the sandbox makes."""
HAZARDS = ("late,probability=0.05,seconds=2", "goalGained,probability=0.1,seconds=3")
"""Rows that show up late, and calls that become goals: what a poller that only looks ahead would miss."""


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def _signing_secrets() -> dict[str, str]:
    return {each.name: f"whsec_{_key()}" for each in SUBSCRIPTIONS}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Ports, keys and places of one run."""

    folder: Path
    rate: float
    seed: int
    api_port: int = field(default_factory=free_port)
    worker_port: int = field(default_factory=free_port)
    sandbox_port: int = field(default_factory=free_port)
    receiver_port: int = field(default_factory=free_port)
    admin_key: str = field(default_factory=lambda: secrets.token_hex(16))
    encryption_key: str = field(default_factory=_key)
    upstream_key: str = field(default_factory=lambda: str(uuid4()))
    signing_secrets: dict[str, str] = field(default_factory=_signing_secrets)

    @property
    def api(self) -> str:
        """The URL of the REST API."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def console(self) -> str:
        """The URL of the console."""
        return f"{self.api}/console"

    @property
    def sandbox(self) -> str:
        """The URL of the upstream."""
        return f"http://127.0.0.1:{self.sandbox_port}"

    @property
    def receiver(self) -> str:
        """The URL of the receiver; each endpoint is a path of it."""
        return f"http://127.0.0.1:{self.receiver_port}"

    @property
    def callbacks(self) -> Path:
        """Where the receiver records callbacks."""
        return self.folder / "callbacks.ndjson"

    @property
    def settings(self) -> dict[str, str]:
        """The RELAY_* variables of the API and the worker."""
        return {
            "RELAY_DATA_DIR": str(self.folder / "data"),
            "RELAY_ADMIN_KEY": self.admin_key,
            "RELAY_ENCRYPTION_KEY": self.encryption_key,
            "RELAY_PORT": str(self.api_port),
            "RELAY_WORKER_PORT": str(self.worker_port),
            "RELAY_EGRESS_ALLOW": "127.0.0.0/8",
            "RELAY_UPSTREAM_ALLOW": "127.0.0.0/8",
            "RELAY_OVERLAP_INTERVAL_SECONDS": "1",
            "RELAY_LOG_FORMAT": "text",
        }

    @property
    def receiver_secrets(self) -> dict[str, str]:
        """The receiver's environment. It has another secret for an endpoint with that trouble."""
        known = self.signing_secrets | {
            each.name: f"whsec_{_key()}" for each in SUBSCRIPTIONS if each.trouble is Trouble.REFUSES
        }
        return {"RECEIVER_SECRETS": " ".join(f"{name}={secret}" for name, secret in known.items())}
