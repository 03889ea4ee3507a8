"""Pressure: what a server's use of its memory asks for."""

RESUME_LOWER = 0.05
"""Polling goes on when the share is so much lower: it must not stop and start each second."""


def excess(used: int, limit: int, share: float) -> int:
    """Bytes that are used beyond a share of the limit; 0: none are, or there is no limit.

    >>> excess(90, 100, 0.75), excess(70, 100, 0.75), excess(90, 0, 0.75)
    (15, 0, 0)
    """
    return max(0, used - round(limit * share)) if limit else 0


def is_full(used: int, limit: int, share: float, *, was_full: bool) -> bool:
    """Whether to take nothing more in.

    >>> is_full(86, 100, 0.85, was_full=False), is_full(82, 100, 0.85, was_full=False)
    (True, False)
    >>> is_full(82, 100, 0.85, was_full=True), is_full(79, 100, 0.85, was_full=True)
    (True, False)
    """
    if not limit:
        return False
    return used >= limit * (share - RESUME_LOWER if was_full else share)
