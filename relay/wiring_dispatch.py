"""How the sending side of a worker is put together."""

import platform
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from relay.config import Settings
from relay.domain.counts import ConnectionCounts
from relay.observability.spans import Spans
from relay.outbound.callbacks import CallbackSender
from relay.outbound.egress import Egress, EgressOptions
from relay.outbound.resolver import Resolver
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.clock import Clock
from relay.pipeline.disabling import Disabling
from relay.pipeline.dispatch.attempting import Attempting
from relay.pipeline.dispatch.batching import Batching
from relay.pipeline.dispatch.composing import Composing
from relay.pipeline.dispatch.dispatcher import Dispatcher
from relay.pipeline.dispatch.looking_up import LookingUp
from relay.pipeline.dispatch.settling import Settling
from relay.pipeline.dispatch.tailing import Tailing
from relay.pipeline.lagging import Lagging
from relay.pipeline.token_keeping import TokenKeeping
from relay.pipeline.troubles import Troubles
from relay.store.books import Books
from relay.store.captures import Captures
from relay.store.conditions import Conditions
from relay.store.deletions import Deletions
from relay.store.rates import Rates
from relay.store.tail import Tail
from relay.store.tokens import SharedTokens
from relay.wiring import USER_AGENT, Stores, egress_policy, links_of, open_evaluator


@asynccontextmanager
async def open_dispatch(
    settings: Settings, stores: Stores, clock: Clock, spans: Spans | None = None
) -> AsyncIterator[tuple[Catalogue, Dispatcher]]:
    """The sending side of a worker, and the catalogue that it shares with the polling side."""
    rates = Rates(stores.redis)
    async with open_sender(settings, stores) as (sender, connections), open_evaluator() as evaluator:
        catalogue = Catalogue(
            stores.configuration, sender,
            troubles=Troubles(stores.operations, clock), links=links_of(settings, stores.vault),
        )  # fmt: skip
        composing = Composing(
            evaluator=evaluator,
            looking_up=LookingUp(
                catalogue=catalogue,
                sender=sender,
                evaluator=evaluator,
                rates=rates,
                clock=clock,
            ),
            captures=Captures(stores.redis, lives_s=settings.dead_retention_seconds),
        )
        batching = Batching(composing=composing, evaluator=evaluator, sender=sender, clock=clock)
        attempting = Attempting(
            catalogue=catalogue, sender=sender, composing=composing, batching=batching, clock=clock,
            deadline_s=settings.attempt_timeout_seconds, tailing=Tailing(Tail(stores.redis)), spans=spans,
        )  # fmt: skip
        yield catalogue, _dispatcher(settings, stores, clock, catalogue, attempting, rates, connections)


@asynccontextmanager
async def open_sender(settings: Settings, stores: Stores) -> AsyncIterator[tuple[CallbackSender, ConnectionCounts]]:
    """What sends requests to endpoints, through the guard, and what it counts."""
    resolver = Resolver(nameservers=settings.nameservers or None)
    proxy = settings.egress_proxy.reveal() if settings.egress_proxy else None
    options = EgressOptions(roots=settings.egress_ca_file)
    transport = Egress(policy=egress_policy(settings), resolver=resolver, options=options, proxy=proxy)
    keeper = TokenKeeping(SharedTokens(stores.redis, stores.vault), stores.endpoints)
    sender = CallbackSender(transport, policy=egress_policy(settings), user_agent=USER_AGENT, keeper=keeper)
    try:
        yield sender, transport.connections
    finally:
        await sender.aclose()
        await transport.aclose()
        await resolver.close()


def _dispatcher(
    settings: Settings,
    stores: Stores,
    clock: Clock,
    catalogue: Catalogue,
    attempting: Attempting,
    rates: Rates,
    connections: ConnectionCounts,
) -> Dispatcher:
    session = f"{platform.node()}-{uuid.uuid4().hex[:12]}"
    return Dispatcher(
        session=session,
        lanes=stores.lanes,
        rates=rates,
        conditions=Conditions(stores.redis),
        deletions=Deletions(stores.redis),
        bodies=stores.bodies,
        settling=Settling(books=Books(stores.redis), events=stores.events, clock=clock),
        catalogue=catalogue,
        attempting=attempting,
        clock=clock,
        lagging=Lagging(stores.lags, clock, session=session),
        disable=Disabling(stores.endpoints, clock),
        slots=settings.dispatch_slots,
        schedule=settings.retry_schedule,
        connections=connections,
    )
