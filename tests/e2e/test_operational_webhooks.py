"""Operational webhooks, against real processes: the operator is told, signed, by Svix's own library."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from svix.api import (
    ApplicationIn,
    EndpointIn,
    MessageAttemptListByEndpointOptions,
    MessageIn,
    OperationalWebhookEndpointIn,
    SvixAsync,
    SvixOptions,
)
from svix.webhooks import Webhook

from relay.cli.demo.ports import free_port
from relay.domain.operational import OPERATIONAL
from tests.e2e.test_posting import serve
from tests.fault.serving import Exchange, serving
from tests.fault.stage import Stage, stage, until

pytestmark = pytest.mark.timeout(120)


class Receiver:
    """Confirms what comes to `/ops`, and is gone for everything else."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []

    def take(self, exchange: Exchange) -> None:
        """Write a callback down, and answer it."""
        if exchange.target != "/ops":
            exchange.answer(410, b"")
            return
        names = ("webhook-id", "webhook-timestamp", "webhook-signature")
        self.got.append(({name: exchange.header(name) for name in names}, exchange.body))
        exchange.answer(204, b"")

    def verified(self, secret: str) -> list[dict[str, Any]]:
        """The bodies of all callbacks by type, verified by Svix's library. Raises WebhookVerificationError."""
        for headers, body in self.got:
            Webhook(secret).verify(body, headers)
        return sorted((json.loads(body) for _, body in self.got), key=lambda each: str(each["type"]))


@pytest.fixture
async def on() -> AsyncIterator[Stage]:
    """A store."""
    async with stage(74) as made:
        yield made


async def test_the_operator_is_told_of_a_disabled_endpoint(on: Stage) -> None:
    """In Svix's shape, once, also by a worker that starts after the event; and can list and resend it."""
    port, receiver = free_port(), Receiver()
    async with serve(on, port), serving(receiver.take, host="127.0.0.1") as sink:
        svix = SvixAsync(on.environment["RELAY_ADMIN_KEY"], SvixOptions(server_url=f"http://127.0.0.1:{port}"))
        url = f"http://127.0.0.1:{sink}"
        own = await svix.operational_webhook.endpoint.create(OperationalWebhookEndpointIn(url=f"{url}/ops"))
        app = await svix.application.create(ApplicationIn(name="Shop", uid="shop"))
        crm = await svix.endpoint.create("shop", EndpointIn(url=f"{url}/crm", uid="crm"))
        await on.worker()
        await svix.message.create("shop", MessageIn(event_type="invoice.paid", payload={"total": 19.9}))
        await until(lambda: len(receiver.got) == 2, within_s=30, what="two callbacks")
        secret = (await svix.operational_webhook.endpoint.get_secret(own.id)).key
        created, disabled = receiver.verified(secret)
        ids = {"appId": app.id, "appUid": "shop", "endpointId": crm.id, "endpointUid": "crm"}
        assert (created["type"], created["data"]) == ("endpoint.created", ids)
        assert disabled["type"] == "endpoint.disabled"
        assert disabled["data"] == {**ids, "failSince": None, "trigger": "automatic", "reason": DISABLED}
        options = MessageAttemptListByEndpointOptions(limit=9)
        attempts = (await svix.message_attempt.list_by_endpoint(OPERATIONAL, own.id, options)).data
        async with asyncio.timeout(30):
            # They are written down a moment after the answer.
            while len(attempts) < 2:
                await asyncio.sleep(0.02)
                attempts = (await svix.message_attempt.list_by_endpoint(OPERATIONAL, own.id, options)).data
        assert {each.msg_id for each in attempts} == {headers["webhook-id"] for headers, _ in receiver.got}
        await svix.message_attempt.resend(OPERATIONAL, attempts[0].msg_id, own.id)
        await until(lambda: len(receiver.got) == 3, within_s=30, what="the callback that was sent again")
        assert receiver.got[2][0]["webhook-id"] == attempts[0].msg_id
        await svix._httpx_client.aclose()


DISABLED = "the endpoint answered 410 Gone"
