"""How replays are put together."""

from relay.pipeline.replays import ReplayTurns
from relay.store.chores import Chores
from relay.store.server import Server
from relay.wiring import Stores


def replays_of(stores: Stores) -> ReplayTurns:
    """What continues replays."""
    return ReplayTurns(
        replays=stores.replays,
        events=stores.events,
        books=stores.books,
        endpoints=stores.endpoints,
        server=Server(stores.redis),
        chores=Chores(stores.redis),
    )
