"""The relay's real sender, ready to post to any URL."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from relay.domain.addresses import EgressPolicy
from relay.domain.model import ApplicationId, Endpoint, EndpointId, SigningKey
from relay.domain.outcomes import Outcome
from relay.domain.signing import new_secret
from relay.outbound.callbacks import Callback, CallbackSender
from relay.outbound.egress import Egress
from relay.outbound.resolver import Resolver

Send = Callable[..., Awaitable[Outcome]]
"""`await send(url, deadline_s=1.0, body=b"{}")`: one attempt."""

_KEYS = (SigningKey(key=new_secret(bytes(range(32)))),)


@asynccontextmanager
async def sending(policy: EgressPolicy, *, nameserver: str) -> AsyncIterator[Send]:
    """A sender that keeps no answer of its name server (`address:port`), so each attempt looks its name up."""
    resolver = Resolver(nameservers=[nameserver], min_ttl_s=0.0, max_ttl_s=0.0, failure_ttl_s=0.0, grace_s=0.0)
    transport = Egress(policy=policy, resolver=resolver)
    sender = CallbackSender(transport, policy=policy, user_agent="relay-faults/1")

    async def send(url: str, *, deadline_s: float = 1.0, body: bytes = b"{}") -> Outcome:
        endpoint = Endpoint(id=EndpointId(f"ep_{url}"), app_id=ApplicationId("app_1"), url=url, keys=_KEYS)
        prepared = sender.prepare(endpoint)
        return await sender.send(
            prepared, Callback(message_id="msg_1", body=body, timestamp_s=1), deadline_s=deadline_s
        )

    try:
        yield send
    finally:
        await transport.aclose()
        await resolver.close()
