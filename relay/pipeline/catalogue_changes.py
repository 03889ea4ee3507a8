"""Changes of the configuration: what they mean for the mirror of it, see relay.pipeline.catalogue."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from relay.domain.model import Application
from relay.store.record_form import Kind

K = TypeVar("K", bound=str)
V = TypeVar("V", bound=msgspec.Struct)


def binds(application: Application) -> tuple[Any, ...]:
    """What of an application concerns its endpoints."""
    return application.rate_limit, application.budgets, application.sources, application.filter, application.privacy


def matters(kind: Kind[V], known: Mapping[K, V], changes: Mapping[K, V | None]) -> bool:
    """Whether events may belong to other tenants after some changes."""
    for key, after in changes.items():
        before = known.get(key)
        if before is None or after is None or kind.matching(before) != kind.matching(after):
            return True
    return False


def apply(known: dict[K, V], changes: Mapping[K, V | None]) -> None:
    """Take changes in; None: the object is gone."""
    for key, value in changes.items():
        if value is None:
            known.pop(key, None)
        else:
            known[key] = value
