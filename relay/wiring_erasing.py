"""How erasing is put together."""

from relay.config import Settings
from relay.pipeline.erasing import ErasingTurns
from relay.store.chores import Chores
from relay.store.erasing import Erasing
from relay.store.server import Server
from relay.wiring import Stores

MARGIN_S = 15.0
"""An answer to a callback is recorded by then, or the session of its worker has ended and it is recorded never."""


def erasing_of(settings: Settings, stores: Stores) -> ErasingTurns:
    """What removes people from everything that is kept."""
    return ErasingTurns(
        tasks=stores.erasing_tasks,
        erasures=stores.erasures,
        erasing=Erasing(stores.redis),
        audit=stores.audit,
        configuration=stores.configuration,
        applications=stores.applications,
        server=Server(stores.redis),
        chores=Chores(stores.redis),
        settle_s=settings.attempt_timeout_seconds + MARGIN_S,
        keep_s=settings.erasure_seconds,
    )
