"""The sections of the console, as every page lists them. A new page is a line here."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from relay.console.words import segment

if TYPE_CHECKING:
    from relay.console.visits import Visit


class Section(NamedTuple):
    """An entry of the navigation."""

    name: str
    path: str
    scope: str
    """The section is listed if the key can use it: see `Visit.may`."""


APPLICATIONS = "/console/applications"
SECTIONS = (
    Section("Overview", "/console", ""),
    Section("Sources", "/console/sources", "source:read"),
    Section("Applications", APPLICATIONS, "application:read"),
    Section("Live tail", "/console/tail", "attempt:read"),
    Section("Undelivered", "/console/undelivered", "message:read"),
    Section("Background tasks", "/console/tasks", "message:read"),
    Section("Operational events", "/console/operational-events", "operational_event:read"),
    Section("Audit log", "/console/audit", "audit:read"),
    Section("API keys", "/console/keys", "key:read"),
)


def sections_of(visit: "Visit") -> Iterator[Section]:
    """The sections that a visitor can see. A key of one application has that application in place of the list."""
    for section in SECTIONS:
        if section.scope and not visit.may(section.scope):
            continue
        if section.path == APPLICATIONS and not visit.is_operator:
            path = f"{APPLICATIONS}/{segment(visit.principal['appId'])}"
            yield section._replace(name="Endpoints", path=path)
        else:
            yield section
