"""How reconciliations are put together."""

from relay.config import Settings
from relay.config.readings import plan_of
from relay.domain.reconciling import settled_s
from relay.pipeline.catalogue import Catalogue
from relay.pipeline.clock import Clock
from relay.pipeline.pressure import Pressure
from relay.pipeline.reconciling.reconciling import Reconciling
from relay.wiring import Stores
from relay.wiring_polling import PollingSide


def reconciling_of(
    settings: Settings, stores: Stores, side: PollingSide, catalogue: Catalogue, pressure: Pressure, clock: Clock
) -> Reconciling:
    """What compares the upstream with the store, by the requests and the ingest of the polling side."""
    return Reconciling(
        reports=side.reports,
        ingest=side.ingest,
        kept=stores,
        catalogue=catalogue,
        pressure=pressure,
        clock=clock,
        every_s=settings.reconciliation_seconds,
        settled_s=settled_s(plan_of(settings)),
        stopping=side.polling.stopping,
    )
