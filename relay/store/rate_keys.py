"""The keys of sending rights: in one slot, so that one step takes a right from everything that bounds an endpoint."""


def rate(name: str) -> str:
    """string: up to when the sending rights of an endpoint or application are given away, in µs. Lives a minute."""
    return f"relay:{{rates}}:{name}"


def window(name: str, seconds: int) -> str:
    """hash: slice of time → how many rights of a window were taken in it. Lives as long as the window."""
    return f"relay:{{rates}}:{name}:{seconds}"


def crowd(name: str) -> str:
    """hash: `{endpoint} {session}` → `{callbacks in flight}:{ms when they count no more}`. Lives as they do."""
    return f"relay:{{rates}}:{name}:crowd"


def line(name: str) -> str:
    """hash: `{endpoint} {session}` that waits → `{µs since when}:{ms when it loses its place}`. Lives minutes."""
    return f"relay:{{rates}}:{name}:line"
