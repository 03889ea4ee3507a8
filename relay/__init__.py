"""An event relay: Infinity's rows in, signed callbacks out.

The layers, from the outside in: cli, asgi, api | sandbox, console, starting, wiring_checkpoints | wiring_erasing |
wiring_metrics | wiring_operational | wiring_reconciling | wiring_replays | wiring_upkeep, wiring, config, pipeline,
jobs, store | outbound | expressions | recipes, observability | serving | processes, leaving | bounded_clients,
domain, errors. A module imports only from layers below its own. `make check` enforces it.
"""
