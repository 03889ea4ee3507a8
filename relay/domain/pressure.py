"""Pressure: what the use of a server's memory, or the length of the backlog, asks for."""

ROOM = 0.02
"""While polling waits for memory, history is shed to so much below the share at which it continues."""


def excess(used: int, limit: int, *, shed: float, resume: float, is_full: bool) -> int:
    """Bytes of history that are too much; 0: none are, or there is no limit.

    Sources must not wait for the sake of history: while polling waits, as much is shed as lets it continue.
    """
    share = min(shed, resume - ROOM) if is_full else shed
    return max(0, used - round(limit * share)) if limit else 0


def holds_back(amount: float, *, stop: float, resume: float, held: bool) -> bool:
    """Whether to take nothing more in: from `stop` on, and then until it is less than `resume`.

    >>> holds_back(0.75, stop=0.8, resume=0.7, held=False), holds_back(0.75, stop=0.8, resume=0.7, held=True)
    (False, True)
    """
    return amount >= (resume if held else stop)
