"""Every metric, with its labels and its meaning. docs/metrics.md is made from this table, and tests compare both.

`store` metrics describe the store as a whole: every worker gives the same value, so aggregate them with `max`.
`process` metrics describe one process: aggregate them with `sum`.
"""

from typing import Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram"]
Scope = Literal["process", "store"]
Of = Literal["worker", "api", "both"]


class Metric(NamedTuple):
    """One metric. Names of counters end in `_total`, units are base units."""

    name: str
    kind: Kind
    of: Of
    scope: Scope
    help: str
    labels: tuple[str, ...] = ()
    values: str = ""
    """What the labels can be."""


_STATES = "`state`: `waiting`, `in_flight`, `replay`, `retry`, `behind_key` (of an ordered endpoint), `dead`"
_ENDPOINT = "`endpoint_id`: an id, or `other`"
_SOURCE = "`source`: a uid, the id of an application for its posts, or `other`"
_ROUTE = "`source`, `route`: those of the first 50 routes"

METRICS = (
    # Sending
    Metric("relay_attempts_total", "counter", "worker", "process", "Attempts that ended.", ("outcome",),
           "`outcome`: `1xx` to `5xx`, or the failure, such as `timeout`, `dns` or `refused_address`"),
    Metric("relay_endpoint_attempts_total", "counter", "worker", "process", "Attempts that ended, by endpoint.",
           ("endpoint_id", "result"), f"{_ENDPOINT}; `result`: `success`, `failure`, by the verdict"),
    Metric("relay_attempt_duration_seconds", "histogram", "worker", "process",
           "How long attempts took, from the lookup of the host to the last byte."),
    Metric("relay_deliveries_ended_total", "counter", "worker", "process", "Deliveries that ended.", ("outcome",),
           "`outcome`: `delivered`, `dead` (given up), `unwanted` (the endpoint's filter does not pass the event)"),
    Metric("relay_retries_scheduled_total", "counter", "worker", "process", "Deliveries that were put off to a retry."),
    Metric("relay_delivery_lag_seconds", "histogram", "worker", "process",
           "The time to the answer that confirmed a delivery. Replays, backfills and posts are not counted.",
           ("since",),
           "`since`: `sight` (when the relay saw the row or its change first), `row` (the time of the row)"),
    Metric("relay_breaker_changes_total", "counter", "worker", "process",
           "Changes of breakers that this worker asked for.", ("to",), "`to`: `open`, `probe`, `well`"),
    Metric("relay_callbacks_in_flight", "gauge", "worker", "process", "Callbacks that are in flight."),
    Metric("relay_callback_connections_total", "counter", "worker", "process",
           "Connections to receivers that callbacks began on.", ("use",),
           "`use`: `opened` (a new one), `reused` (one that was kept)"),
    Metric("relay_callback_slots", "gauge", "worker", "process", "Callbacks that this worker can have in flight."),
    Metric("relay_lanes_reclaimed_total", "counter", "worker", "process",
           "Lanes that were taken back from a worker that ended without releasing them."),
    Metric("relay_poisoned_deliveries_total", "counter", "worker", "process",
           "Deliveries that the relay set aside because workers died with them in flight."),
    # Reading
    Metric("relay_polls_total", "counter", "worker", "process", "Requests to the upstream.",
           ("source", "route", "outcome"), f"{_ROUTE}; `outcome`: `ok`, `failed`, `refused` (401, 403), `limit`"),
    Metric("relay_poll_outcomes_total", "counter", "worker", "process", "Requests to all upstreams.", ("outcome",),
           "`outcome`: as for `relay_polls_total`"),
    Metric("relay_rows_total", "counter", "worker", "process", "Rows that the upstream showed, also known ones.",
           ("source", "route"), _ROUTE),
    Metric("relay_known_rows_total", "counter", "worker", "process", "Rows that made no event: they were known."),
    Metric("relay_events_total", "counter", "worker", "process", "Events of rows that were stored.", ("type",),
           "`type`: the first event type of the event"),
    Metric("relay_quarantined_lines_total", "counter", "worker", "process",
           "Lines that could not be read and were set aside, each once."),
    Metric("relay_reconciliation_differences_total", "counter", "worker", "process",
           "Differences that reconciliations found.", ("kind",),
           "`kind`: `missing`, `unexpected`, `undelivered`, `dead`, `dropped`"),
    # The state of the store
    Metric("relay_deliveries", "gauge", "worker", "store", "Deliveries that have not ended, and dead ones.",
           ("source", "state"), f"{_SOURCE}; {_STATES}"),
    Metric("relay_endpoint_waiting_deliveries", "gauge", "worker", "store",
           "Deliveries that wait in lanes or are in flight. Those that wait for a retry are not counted.",
           ("endpoint_id",), _ENDPOINT),
    Metric("relay_endpoint_oldest_waiting_seconds", "gauge", "worker", "store",
           "The age of the oldest event that waits: in a lane, in flight or for a retry; 0: none.", ("endpoint_id",),
           _ENDPOINT),
    Metric("relay_oldest_waiting_seconds", "gauge", "worker", "store",
           "The largest age of an event that waits for an endpoint which is `well`, also for a retry."),
    Metric("relay_oldest_ready_seconds", "gauge", "worker", "store",
           "The same without events that wait for a retry: those that more workers could send sooner."),
    Metric("relay_endpoints", "gauge", "worker", "store", "Endpoints by state.", ("state",),
           "`state`: `well`, `failing`, `open` (the breaker), `paused`, `unfit`, `disabled` (through the API), "
           "`given_up` (the relay disabled it)"),
    Metric("relay_endpoint_trouble", "gauge", "worker", "store", "1 for each endpoint in trouble, up to 100.",
           ("endpoint_id", "state"), "`state`: `failing`, `open`, `unfit`, `given_up`"),
    Metric("relay_endpoint_failing_seconds", "gauge", "worker", "store",
           "For how long an endpoint in trouble had no success.", ("endpoint_id",), "`endpoint_id`: up to 100 ids"),
    Metric("relay_sources", "gauge", "worker", "store", "Sources by state.", ("state",), "`state`: `polled`, `paused`"),
    Metric("relay_route_cursor", "gauge", "worker", "store", "The rowId up to which a route was read.",
           ("source", "route"), _ROUTE),
    Metric("relay_route_low_water", "gauge", "worker", "store",
           "The rowId behind which a new store would have to read the route again, so that no event is missing.",
           ("source", "route"), _ROUTE),
    Metric("relay_route_lag_seconds", "gauge", "worker", "store",
           "How long ago a route was last level with its upstream: a page was not full.", ("source", "route"), _ROUTE),
    Metric("relay_route_stopped", "gauge", "worker", "store", "1: the upstream refuses the credentials of the route.",
           ("source", "route"), _ROUTE),
    Metric("relay_routes_late", "gauge", "worker", "store", "Routes that do not keep up with their upstream.",
           ("freshness",), "`freshness`: `lagging` (the cursor moves), `stalled` (it does not)"),
    Metric("relay_condition", "gauge", "worker", "store", "1 while a condition holds.", ("condition",),
           "`condition`: `store_full`, `backlog_full`, `checkpoint_old`"),
    Metric("relay_checkpoint_age_seconds", "gauge", "worker", "store",
           "The age of the newest checkpoint. Absent without RELAY_CHECKPOINT_URL."),
    Metric("relay_encryption_key_age_seconds", "gauge", "worker", "store",
           "How long ago a process first encrypted with the first key of RELAY_ENCRYPTION_KEY."),
    Metric("relay_redis_memory_used_bytes", "gauge", "worker", "store",
           "Memory that counts towards the limit; in a cluster, of the fullest node."),
    Metric("relay_redis_memory_limit_bytes", "gauge", "worker", "store", "`maxmemory`; 0: no limit."),
    # Processes
    Metric("relay_build_info", "gauge", "both", "process", "1.", ("process", "version"),
           "`process`: `worker`, `api`; `version`: of the relay"),
    Metric("relay_redis_up", "gauge", "both", "process", "1: Redis answered within a second; 0: it did not."),
    Metric("relay_event_loop_lag_seconds", "gauge", "both", "process",
           "The longest time that the event loop was late by in the last 10 to 20 s."),
    Metric("relay_worker_load_ratio", "gauge", "worker", "process", "The share of a core that the worker used lately."),
    Metric("relay_operational_events_total", "counter", "both", "process", "Operational events that were noted.",
           ("kind",), "`kind`: as in `GET /operational-event`"),
    Metric("relay_http_requests_total", "counter", "api", "process", "Requests to the API that were answered.",
           ("operation", "code"), "`operation`: the method and the path's template; `code`: `2xx` to `5xx`"),
    Metric("relay_http_request_duration_seconds", "histogram", "api", "process",
           "The time until the answer to a request began.", ("method",), "`method`: `GET`, `POST`, …"),
)  # fmt: skip
BY_NAME = {metric.name: metric for metric in METRICS}
