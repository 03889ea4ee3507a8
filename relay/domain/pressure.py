"""Pressure: what a server's use of its memory asks for."""

RESUME_LOWER = 0.05
"""Polling continues when the share is so much lower: it must not stop and start each second."""


def excess(used: int, limit: int, share: float) -> int:
    """Bytes that are used beyond a share of the limit; 0: none are, or there is no limit."""
    return max(0, used - round(limit * share)) if limit else 0


def is_full(used: int, limit: int, share: float, *, was_full: bool) -> bool:
    """Whether to take nothing more in."""
    if not limit:
        return False
    return used >= limit * (share - RESUME_LOWER if was_full else share)
