"""The sections of the console, as every page lists them. A new page is a line here."""

from typing import NamedTuple


class Section(NamedTuple):
    """An entry of the navigation."""

    name: str
    path: str
    scope: str
    """The section is listed if the key has it."""
    for_operators: bool
    """Whether it is only for keys for every application."""


SECTIONS = (
    Section("Overview", "/console", "", False),
    Section("Sources", "/console/sources", "source:read", True),
    Section("Applications", "/console/applications", "application:read", False),
)
