"""Faults of what bounds and delays the requests of an endpoint that depend on other fields or on the application."""

from collections.abc import Iterator
from typing import Any

from relay.api.asked import Asked, Path
from relay.domain.model import Application, Endpoint
from relay.errors import Fault

FIELDS = ("rates", "concurrency", "budget", "delaySeconds", "newestOnly")


def pacing_faults(asked: Asked, stored: Endpoint | None) -> Iterator[Fault]:
    """Faults of an endpoint's fields that depend on each other."""
    if asked.get("type", stored.type if stored else "webhook") == "poller":
        for name in FIELDS:
            if asked.get(name):
                yield Fault(("body", name), "must be omitted: the relay sends no requests to a poller")
        return
    yield from _rate_faults(asked.get("rates"), ("body", "rates"))
    if not asked.sound("delaySeconds", "newestOnly"):
        return
    delay_s = asked.get("delaySeconds", stored.delay_s if stored else 0)
    if asked.get("newestOnly", bool(stored and stored.newest_only)) and not delay_s:
        why = "requires `delaySeconds` of more than 0: without a delay no revision waits for a newer one"
        yield Fault(("body", "newestOnly" if "newestOnly" in asked.fields else "delaySeconds"), why)


def budget_faults(asked: Asked, application: Application) -> Iterator[Fault]:
    """Faults of an endpoint that names a budget which its application does not have."""
    name = asked.get("budget")
    if isinstance(name, str) and asked.sound("budget") and name not in application.budgets:
        has = ", ".join(f"`{each}`" for each in application.budgets) or "none"
        why = f"the application has no budget `{name}`, it has {has}: add it to `budgets` of the application first"
        yield Fault(("body", "budget"), why)


def budgets_faults(asked: Asked) -> Iterator[Fault]:
    """Faults of the budgets of an application."""
    budgets = asked.get("budgets")
    for name, budget in budgets.items() if isinstance(budgets, dict) else ():
        if isinstance(budget, dict):
            yield from _rate_faults(budget.get("rates"), ("body", "budgets", name, "rates"))


def _rate_faults(rates: Any, path: Path) -> Iterator[Fault]:
    seen: set[Any] = set()
    for at, each in enumerate(rates if isinstance(rates, list) else ()):
        seconds = each.get("seconds") if isinstance(each, dict) else None
        if isinstance(seconds, int) and seconds in seen:
            yield Fault((*path, at, "seconds"), f"is {seconds} twice: keep the lower limit of the two")
        seen.add(seconds if isinstance(seconds, int) else None)
