"""What the API works with while it runs, and how handlers get it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from socket import socket

from litestar import Litestar
from litestar.di import Provide

from relay.api.dependencies import provide_evaluator, provide_posting, provide_readiness, provide_stores
from relay.domain.addresses import EgressPolicy
from relay.observability.spans import Spans
from relay.outbound.recordings import open_recordings
from relay.pipeline.clock import Clock
from relay.pipeline.listening import open_listening
from relay.starting import readiness_of
from relay.store.tail import Tail
from relay.wiring import Stores, open_evaluator, open_tracing, posting_of
from relay.wiring_metrics import http_metrics_of

OpenStores = Callable[[], AbstractAsyncContextManager[Stores]]
"""Opens the stores of the application, for as long as it runs."""


def lifespan(
    opened: OpenStores,
    clock: Clock,
    *,
    upstreams: EgressPolicy,
    metrics_port: socket | None,
    spans: AbstractAsyncContextManager[Spans | None],
    leaves: Callable[[], bool],
) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    """What opens all that an application needs, puts it into its state, and closes it."""

    @asynccontextmanager
    async def live(app: Litestar) -> AsyncIterator[None]:
        async with (
            opened() as stores,
            open_recordings(upstreams) as recordings,
            open_tracing(stores, upstreams) as tracing,
            open_evaluator() as evaluator,
            open_listening(Tail(stores.redis)) as listening,
            spans as exported,
        ):
            app.state.recordings = recordings
            app.state.tracing = tracing
            app.state.stores = stores
            app.state.evaluator = evaluator
            app.state.listening = listening
            app.state.posting = posting_of(stores, clock, exported)
            app.state.metrics = http_metrics_of(stores, app.state.http_counts)
            app.state.readiness = readiness_of(stores, clock, stores.epochs.trouble, leaves=leaves)
            async with app.state.metrics.measuring(metrics_port):
                yield

    return live


def dependencies(clock: Clock) -> dict[str, Provide]:
    """The arguments of handlers that the state has, by name."""
    return {
        "stores": Provide(provide_stores, sync_to_thread=False),
        "posting": Provide(provide_posting, sync_to_thread=False),
        "evaluator": Provide(provide_evaluator, sync_to_thread=False),
        "readiness": Provide(provide_readiness, sync_to_thread=False),
        "clock": Provide(lambda: clock, sync_to_thread=False),
    }
