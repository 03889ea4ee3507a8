"""What stands behind the routes: the rows, the switches and the memory, and how a list is answered from them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil

from relay.sandbox import lines
from relay.sandbox.config import SandboxConfig
from relay.sandbox.filters import Test
from relay.sandbox.formats import MEDIA_TYPES, encode_table, join_array, join_lines
from relay.sandbox.hazards import Hazards, Name
from relay.sandbox.polling import polled_page
from relay.sandbox.production import Production
from relay.sandbox.queries import Query, parse_query
from relay.sandbox.refusals import BadParameter, Refusal
from relay.sandbox.rows import Rows
from relay.sandbox.selecting import select, shape
from relay.sandbox.shown import Shown

REFUSALS: dict[Name, tuple[int, str]] = {
    Name.UNAUTHORIZED: (401, "auth required"),
    Name.FORBIDDEN: (403, "access denied"),
    Name.RATE_LIMITED: (429, "too many requests"),
    Name.SERVER_ERROR: (500, "internal error"),
    Name.UNAVAILABLE: (503, "temporarily unavailable"),
    Name.MESSAGE: (200, "An error occurred, please try again"),
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A body, and how long sending it shall take."""

    body: bytes
    media_type: str
    slow_s: float = 0.0


class Upstream:
    """One installation of the upstream. `clock` gives seconds that only grow."""

    def __init__(self, config: SandboxConfig, *, clock: Callable[[], float]) -> None:
        self.config = config
        self.hazards = Hazards(config.hazards, seed=config.seed)
        self.rows = Rows()
        self.shown = Shown(self.rows, enabled=config.record_shown)
        self.requests = 0
        self._clock = clock
        self.production = Production(config, self.rows, self.hazards, now_s=clock())

    def catch_up(self) -> float:
        """Make visible what is due by now; gives the moment."""
        now_s = self._clock()
        self.production.advance(now_s)
        return now_s

    def may_refuse(self) -> None:
        """Count a request, and raise Refusal where a hazard strikes that answers instead of rows."""
        self.requests += 1
        for name, (status, message) in REFUSALS.items():
            if hazard := self.hazards.strikes(name):
                wait = {"Retry-After": str(ceil(hazard.seconds))} if name is Name.RATE_LIMITED else {}
                raise Refusal(message, status=status, headers=wait)

    def query(self, query_string: str) -> Query:
        """Read a query string as this installation does. Raises Refusal."""
        csv = "format=" not in query_string and self.hazards.strikes(Name.CSV_BY_DEFAULT)
        query = parse_query(
            query_string,
            cap=self.config.limit_cap,
            default_limit=self.config.default_limit,
            default_format="csv" if csv else "json",
        )
        lower = self.hazards.switches.get(Name.LIMIT_REFUSED)
        if lower and query.limit > lower.above and self.hazards.strikes(Name.LIMIT_REFUSED):
            raise BadParameter(f"limit {query.limit} is above the maximum of {lower.above}")
        return replace(query, redacted=True) if self.hazards.strikes(Name.REDACTED) else query

    def list_route(self, route: str, query: Query) -> Answer:
        """Answer a list, and remember what it showed."""
        index = self.rows.indexes[route]
        page = polled_page(index, query) if query.plain else select(index, query, self.rows.read)
        page = self._disarranged(page, limit=query.limit)
        if query.format == "json" and page and self.hazards.strikes(Name.TRUNCATED):
            answer, page = self._truncated(page, query)
        else:
            answer = self._answer(page, query)
        (self.shown.add if query.whole else self.shown.add_parts)(route, page)
        return answer

    def trace(self, query: Query, *tests: Test) -> Answer:
        """Answer a visitor's trace. It is no list that anybody polls, so it is not remembered as shown."""
        query = replace(query, tests=(*tests, *query.tests))
        return self._answer(select(self.rows.indexes["all"], query, self.rows.read), query)

    def _disarranged(self, page: list[bytes], *, limit: int) -> list[bytes]:
        if self.hazards.strikes(Name.DUPLICATED):
            page = [line for line in page for _ in range(2)][:limit]
        if self.hazards.strikes(Name.UNORDERED):
            page = self.hazards.dice(Name.UNORDERED).sample(page, len(page))
        return page

    def _answer(self, page: Sequence[bytes], query: Query) -> Answer:
        slow = self.hazards.strikes(Name.SLOW)
        return Answer(
            body=self._body(page, query), media_type=MEDIA_TYPES[query.format], slow_s=slow.seconds if slow else 0.0
        )

    def _body(self, page: Sequence[bytes], query: Query) -> bytes:
        if query.format == "json":
            return join_lines(self._shaped(page, query))
        if query.format == "jsonarray":
            broken = not page and self.hazards.strikes(Name.BROKEN_EMPTY_ARRAY) is not None
            return join_array(self._shaped(page, query), broken=broken)
        rows = [shape(self.rows.read(line), query) for line in page]
        columns = [alias for _, alias in query.display] or list(dict.fromkeys(name for row in rows for name in row))
        return encode_table(rows, columns, shape=query.format)

    def _shaped(self, page: Sequence[bytes], query: Query) -> Sequence[bytes]:
        if query.whole:
            return page
        return [
            lines.encode(shape(self.rows.read(line), query), escaped=not self.rows.is_unescaped(line)) for line in page
        ]

    def _truncated(self, page: Sequence[bytes], query: Query) -> tuple[Answer, list[bytes]]:
        # Cut within a row, so that nobody can take the half of it for a row (hazard H4).
        dice = self.hazards.dice(Name.TRUNCATED)
        sent = self._shaped(page, query)
        cut = dice.randrange(len(sent))
        half = sent[cut][: dice.randrange(1, len(sent[cut]) - 2)]
        return Answer(body=b"".join(sent[:cut]) + half, media_type=MEDIA_TYPES["json"]), list(page[:cut])
