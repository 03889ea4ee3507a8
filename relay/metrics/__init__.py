"""Metrics: what Prometheus reads at `/metrics`. Everything is counted elsewhere, and put together here when asked.

`table` has every metric. `worker` and `http` take them from the parts of a process, `stored` from the store. See
docs/adr/0027-metrics-are-read-when-asked.md.
"""
