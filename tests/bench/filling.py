"""Storing rows as a poller would, without one: by the store's own commits of pages."""

from collections.abc import Sequence

from relay.domain.model import Source
from relay.store.pages import RowCommit, first_prefix
from tests.bench.ground import ROUTE, Ground
from tests.bench.judging import NOW_MS, PAGE


async def fill(store: Ground, source: Source, rows: Sequence[RowCommit]) -> None:
    """Commit rows, page by page, each page in as many steps as it needs."""
    token = await store.stores.routes.take(source.uid)
    assert token is not None
    version = await store.version()
    for first in range(0, len(rows), PAGE):
        page = list(rows[first : first + PAGE])
        while page:
            prefix = first_prefix(page)
            await store.stores.pages.commit(
                source.uid,
                ROUTE,
                prefix,
                space="t",
                cursor=prefix[-1].row_id,
                token=token,
                version=version,
                now_ms=NOW_MS,
            )
            page = page[len(prefix) :]
