"""The parts of the store that reconciliations work with."""

from typing import Protocol

from relay.store.books import Books
from relay.store.events import Events
from relay.store.operations import Operations
from relay.store.pages import Pages
from relay.store.reconciliations import Reconciliations
from relay.store.routes import Routes
from relay.store.undelivered import Undelivered


class Kept(Protocol):
    """All of them, under the names that relay.wiring.Stores gives them."""

    @property
    def reconciliations(self) -> Reconciliations:
        """How far each reconciliation has come."""

    @property
    def books(self) -> Books:
        """What became of each delivery."""

    @property
    def routes(self) -> Routes:
        """The cursors, and the leases of sources."""

    @property
    def pages(self) -> Pages:
        """What is known of rows."""

    @property
    def events(self) -> Events:
        """The events."""

    @property
    def undelivered(self) -> Undelivered:
        """What puts a delivery into its lane."""

    @property
    def operations(self) -> Operations:
        """The log of operational events."""
