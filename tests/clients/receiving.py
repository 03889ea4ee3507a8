"""Checks a receiver of docs/receiving.md: the relay's sender calls it. Compares what it answers and processes."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path

import httpx

from relay.cli.demo.ports import free_port
from relay.domain.addresses import EgressPolicy
from relay.domain.event_examples import example_of
from relay.domain.model import ApplicationId, Endpoint, EndpointId, SigningKey
from relay.domain.signing import Signer, new_private_key, new_secret
from relay.outbound.callbacks import Callback, CallbackSender
from relay.outbound.egress import Egress, EgressOptions
from relay.outbound.resolver import Resolver
from tests.bench.processes import Child, child, listens
from tests.patience import PATIENCE_S

NEW, OLD, STRANGE = (new_secret(letter * 32) for letter in (b"n", b"o", b"s"))
PRIVATE = new_private_key(b"p" * 32)
TOO_LARGE = 5 << 20
BIG = 9_007_199_254_740_993
"""No JavaScript number is exactly this."""


@dataclass(slots=True)
class Receiver:
    """One receiver that runs: what it was sent, and what it says that it processed."""

    process: Child
    processing: Child
    """The process that says what it processed; the same one, for most."""
    url: str
    sender: CallbackSender
    client: httpx.AsyncClient
    expected: list[str] = field(default_factory=list)
    sent: int = 0

    async def send(
        self, body: bytes, *, keys: Sequence[str] = (NEW, OLD), age_s: int = 0, message_id: str | None = None
    ) -> int | None:
        """Send a callback as the relay does, signed with some keys; gives the status of the answer."""
        self.sent += 1
        endpoint = Endpoint(
            app_id=ApplicationId("app_1"),
            id=EndpointId(f"ep_{self.sent}"),
            url=self.url,
            keys=tuple(SigningKey(key=key) for key in keys),
        )
        callback = Callback(
            message_id=message_id or f"msg_{self.sent}", body=body, timestamp_s=int(time.time()) - age_s
        )
        outcome = await self.sender.send(self.sender.prepare(endpoint), callback, deadline_s=PATIENCE_S)
        assert outcome.error is None or outcome.status is not None, outcome
        return outcome.status

    async def post(self, body: bytes, headers: Mapping[str, str]) -> int:
        """Send a request that the relay would not send; gives the status of the answer."""
        return (await self.client.post(self.url, content=body, headers=dict(headers))).status_code

    async def processed(self) -> None:
        """Wait until it has processed each expected event once. Raises AssertionError if it has not in time."""
        deadline = time.monotonic() + PATIENCE_S
        while (lines := self._lines()) != sorted(self.expected):
            self.process.check()
            self.processing.check()
            assert time.monotonic() < deadline, f"processed {lines}, not {sorted(self.expected)}"
            await asyncio.sleep(0.05)

    def _lines(self) -> list[str]:
        lines = self.processing.log.read_text(encoding="utf-8").splitlines()
        return sorted(line for line in lines if line.startswith("call."))


@asynccontextmanager
async def receiver(command: Sequence[str], folder: Path, *, worker: Sequence[str] = ()) -> AsyncIterator[Receiver]:
    """Run a receiver and a sender for as long as the block lasts. `{port}` in the command is the port.

    A `worker` is the command that processes what the receiver kept, if the receiver does not.
    """
    port = free_port()
    settings = {"PORT": str(port), "INBOX": str(folder / "inbox"), "WEBHOOK_SECRETS": f"{NEW} {OLD}"}
    policy = EgressPolicy(allow=(ip_network("127.0.0.1/32"),))
    resolver = Resolver()
    transport = Egress(policy=policy, resolver=resolver, options=EgressOptions(connect_timeout_s=PATIENCE_S))
    sender = CallbackSender(transport, policy=policy, user_agent="relay-tests/1")
    arguments = [part.format(port=port) for part in command]
    try:
        async with AsyncExitStack() as stack:
            run = child("receiver", *arguments, folder=folder, ready=listens(port), env=settings)
            processing = process = await stack.enter_async_context(run)
            if worker:
                processing = await stack.enter_async_context(child("worker", *worker, folder=folder, env=settings))
            client = await stack.enter_async_context(httpx.AsyncClient(timeout=PATIENCE_S))
            yield Receiver(process, processing, f"http://127.0.0.1:{port}/calls", sender, client)
    finally:
        await transport.aclose()
        await resolver.close()


async def check(on: Receiver) -> None:
    """All that docs/receiving.md promises of a receiver. Raises AssertionError."""
    await _accepts_what_is_genuine(on)
    await _refuses_what_is_not(on)
    await _processes_each_event_once(on)
    await _stays_calm(on)
    await on.processed()


async def _accepts_what_is_genuine(on: Receiver) -> None:
    """Bytes as they are: signed with either secret, or also with a key pair."""
    assert await on.send(_event(1)) == 204
    assert await on.send(_event(2), keys=[NEW]) == 204
    assert await on.send(_event(3), keys=[OLD]) == 204
    assert await on.send(_event(4), keys=[STRANGE, OLD]) == 204
    assert await on.send(_event(5), keys=[PRIVATE, OLD]) == 204
    assert await on.send(_event(6), keys=[NEW, PRIVATE]) == 204
    assert await on.send(_event(BIG, spaced=True)) == 204
    assert await on.send(example_of("call.updated")) == 204
    on.expected += [f"call.created 1-{row} 3 answered" for row in (1, 2, 3, 4, 5, 6, BIG)]
    on.expected.append("call.updated 1-141248745 2 answered")


async def _refuses_what_is_not(on: Receiver) -> None:
    """Strange secrets, old and future timestamps, changed bodies, odd headers, large bodies."""
    assert await on.send(_event(10), keys=[STRANGE]) == 401
    assert await on.send(_event(11), keys=[PRIVATE]) == 401
    assert await on.send(_event(12), age_s=400) == 401
    assert await on.send(_event(13), age_s=-400) == 401
    good = _headers("msg_odd", _event(14))
    assert await on.post(_event(14) + b" ", good) == 401
    assert await on.post(json.dumps(json.loads(_event(14))).encode(), good) == 401
    assert await on.post(_event(14), {**good, "webhook-id": "msg_other"}) == 401
    for name in good:
        assert await on.post(_event(14), {other: value for other, value in good.items() if other != name}) == 401
        for odd in ("v1", "v1,", "v1,&", ",", "x" * 300, "v2,abc v1", "1e9", "-1"):
            assert await on.post(_event(14), {**good, name: odd}) == 401, (name, odd)
    for path in ("../../escape", "a/b", "a" * 65):
        assert await on.post(_event(14), _headers(path, _event(14))) == 401, path
    assert await _is_refused_for_its_size(on)


async def _is_refused_for_its_size(on: Receiver) -> bool:
    """It may close the connection before it read everything, and before its answer was read."""
    body = b'{"a":"' + b"x" * TOO_LARGE + b'"}'
    try:
        return await on.post(body, _headers("msg_large", body)) == 413
    except httpx.TransportError:
        return True


async def _processes_each_event_once(on: Receiver) -> None:
    """A duplicate is answered 2xx, before and after the first one was processed, and also with another timestamp."""
    for _ in range(3):
        assert await on.send(_event(20), message_id="msg_again") == 204
    on.expected.append("call.created 1-20 3 answered")
    await on.processed()
    assert await on.send(_event(20), message_id="msg_again", age_s=5) == 204
    assert await on.send(_event(21)) == 204
    on.expected.append("call.created 1-21 3 answered")


async def _stays_calm(on: Receiver) -> None:
    """Unknown fields, values that do not fit their types, and absent ones hinder nothing."""
    odd = _event(30, callStage=None, bridgeDuration="n/a", new={"deep": [1]}, rec="perhaps")
    assert await on.send(odd) == 204
    assert await on.send(_event(31, callStage="ring", bridgeDuration=0)) == 204
    assert await on.send(_event(32, callStage="", bridgeDuration=61)) == 204
    on.expected += ["call.created 1-30 3 -", "call.created 1-31 3 -", "call.created 1-32 3 answered"]


def _event(row: int, *, spaced: bool = False, **columns: object) -> bytes:
    """An event whose text has letters of many alphabets, numbers with digits that floats lose, and large ones."""
    trigger = {
        "rowId": str(row),
        "callStage": "bridge",
        "bridgeDuration": 131,
        "pageTitle": "Größe 😀 ﷽ \u2028",
        **columns,
    }
    data = {"source": "main", "igrp": 1, "rowId": str(row), "key": f"1-{row}", "revision": 3, "future": {"a": [None]}}
    event = {"type": "call.created", "timestamp": "2018-01-16T13:20:11.000Z", "data": {**data, "trigger": trigger}}
    text = json.dumps(event, ensure_ascii=spaced, indent=1 if spaced else None)
    return text.replace('"future"', '"txv": 1.10, "large": 1e400, "future"').encode()


def _headers(message_id: str, body: bytes) -> dict[str, str]:
    now = int(time.time())
    signature = Signer((SigningKey(key=NEW),)).sign(message_id, now, body, now_ms=now * 1000)
    return {"webhook-id": message_id, "webhook-timestamp": str(now), "webhook-signature": signature}
