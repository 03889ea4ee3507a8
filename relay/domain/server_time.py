"""The server's clock as a process knows it: its own monotonic clock, and how far the server's is ahead of that."""

OFF_AFTER_MS = 30_000
"""A machine whose clock differs by more from the server's is off. Receivers allow five minutes (Standard Webhooks)."""
STEP_MS = 1_000
"""A clock that goes back by more was set; less is the noise of one that is being disciplined."""


def corrected(offset: int, *, asked: int, answered: int, told: int) -> int:
    """How far the server's clock is ahead, after it was asked once more. All are of one unit, such as ns.

    `asked` and `answered` are by the monotonic clock. The server said `told` at some time between the two, so what was
    believed before stays as it is if it allows that, and else changes no more than it must.

    >>> corrected(1000, asked=10, answered=30, told=1025)
    1000
    >>> corrected(0, asked=10, answered=30, told=1025), corrected(5000, asked=10, answered=30, told=1025)
    (995, 1015)
    """
    return min(max(offset, told - answered), told - asked)
