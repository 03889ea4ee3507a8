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
    """The section is listed if the key has it."""
    for_operators: bool
    """Whether it is only for keys for every application."""


APPLICATIONS = "/console/applications"
SECTIONS = (
    Section("Overview", "/console", "", False),
    Section("Sources", "/console/sources", "source:read", True),
    Section("Applications", APPLICATIONS, "application:read", False),
    Section("Live tail", "/console/tail", "attempt:read", False),
    Section("Undelivered", "/console/undelivered", "message:read", False),
    Section("Background tasks", "/console/tasks", "message:read", False),
    Section("Operational events", "/console/operational-events", "operational_event:read", True),
    Section("Audit log", "/console/audit", "audit:read", False),
    Section("API keys", "/console/keys", "key:read", False),
)


def sections_of(visit: "Visit") -> Iterator[Section]:
    """The sections that a visitor can see. A key of one application has that application in place of the list."""
    for section in SECTIONS:
        if (section.scope and not visit.may(section.scope)) or (section.for_operators and not visit.is_operator):
            continue
        if section.path == APPLICATIONS and not visit.is_operator:
            path = f"{APPLICATIONS}/{segment(visit.principal['appId'])}"
            yield section._replace(name="Endpoints", path=path)
        else:
            yield section
