"""A worker's memory has a bound, whatever its upstreams send."""

from pathlib import Path

from tests.bench.ground import ground
from tests.bench.measuring import peak_rss_bytes
from tests.bench.memory import MOST_MB, flooded, taken_in
from tests.fault.stage import until

FLOODS = {
    "/documented/endless": (1000, 4000),
    "/large": (10_000, 2000),
    "/long": (1000, 12),
    "/decimals": (1000, 3),
    "/columns": (1000, 3),
}
"""By the path of a source (see tests.bench.hostile): its batch size, and the rows that it must have given."""


async def test_a_worker_takes_less_than_200_mb_whatever_comes(short_folder: Path) -> None:
    """Pages without end, large legal pages, and rows of 1 MB, all at once, in a real process: and all are taken in."""
    async with ground(short_folder) as store:
        paths = [(path, batch) for path, (batch, _) in FLOODS.items()]
        async with flooded(store, short_folder, paths) as (process, sources):

            async def all_got_on() -> bool:
                process.check()
                wanted = [rows for _, rows in FLOODS.values()]
                return all([await taken_in(store, each) >= rows for each, rows in zip(sources, wanted, strict=True)])

            await until(all_got_on, within_s=240, what="rows of each source")
            assert peak_rss_bytes(process.pid) < MOST_MB * 1_000_000
