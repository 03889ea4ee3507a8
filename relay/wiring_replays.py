"""How replays are put together."""

from relay.pipeline.correcting import Correcting
from relay.pipeline.reading.old_rows import OldRows
from relay.pipeline.reading_again import ReadingAgain
from relay.pipeline.replays import ReplayTurns
from relay.store.chores import Chores
from relay.store.corrections import Corrections
from relay.store.server import Server
from relay.wiring import Stores


def replays_of(stores: Stores) -> ReplayTurns:
    """What continues replays."""
    return ReplayTurns(
        replays=stores.replays,
        events=stores.events,
        books=stores.books,
        endpoints=stores.endpoints,
        again=ReadingAgain(
            sources=stores.sources,
            routes=stores.routes,
            backfills=stores.backfills,
            old_rows=OldRows(books=stores.books, events=stores.events, undelivered=stores.undelivered),
        ),
        correcting=Correcting(
            corrections=Corrections(stores.redis),
            replays=stores.replays,
            endpoints=stores.endpoints,
            applications=stores.applications,
            configuration=stores.configuration,
            events=stores.events,
        ),
        server=Server(stores.redis),
        chores=Chores(stores.redis),
    )
