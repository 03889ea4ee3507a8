"""Naming: which endpoints, sources and routes have series of their own. What is beyond a limit counts as `other`."""

from collections.abc import Iterable, Mapping

from relay.domain.model import EndpointId, Source, SourceUid

OTHER = "other"
MOST_ENDPOINTS = 1_000
"""With 4 series each: most of the 5,000 that one worker may have."""
MOST_STREAMS = 40
MOST_ROUTES = 50
MOST_IN_TROUBLE = 100


class Named:
    """The names at one version of the configuration: the first in the order of ids, which is that of creation."""

    def __init__(
        self, endpoints: Iterable[EndpointId], streams: Iterable[SourceUid], sources: Mapping[SourceUid, Source]
    ) -> None:
        self.endpoints = frozenset(sorted(endpoints)[:MOST_ENDPOINTS])
        self.streams = frozenset(sorted(streams)[:MOST_STREAMS])
        routes = ((uid, route) for uid in sorted(sources) for route in sources[uid].routes)
        self.routes = frozenset(pair for pair, _ in zip(routes, range(MOST_ROUTES), strict=False))

    def endpoint(self, endpoint: EndpointId) -> str:
        """The label of an endpoint."""
        return endpoint if endpoint in self.endpoints else OTHER

    def stream(self, stream: SourceUid) -> str:
        """The label of a stream."""
        return stream if stream in self.streams else OTHER


class Folded:
    """Counts that only grow, from counts by endpoint, also when an endpoint gets or loses a name of its own."""

    def __init__(self) -> None:
        self._seen: dict[EndpointId, int] = {}
        self._shown: dict[str, int] = {}

    def take_in(self, counts: Mapping[EndpointId, int], named: Named) -> Mapping[str, int]:
        """The counts by label, with what was counted since the last call."""
        for endpoint, count in counts.items():
            if more := count - self._seen.get(endpoint, 0):
                self._seen[endpoint] = count
                label = named.endpoint(endpoint)
                self._shown[label] = self._shown.get(label, 0) + more
        for gone in self._seen.keys() - counts.keys():
            del self._seen[gone]
            self._shown.pop(gone, None)
        return self._shown
