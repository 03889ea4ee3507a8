"""Requests as bytes. This module does no I/O."""

HeaderList = list[tuple[str, str]]

WRITTEN_HERE = frozenset({"host", "content-length", "transfer-encoding", "connection"})
"""Headers that follow from the URL and the body."""

_OWN_LINES = 4
"""The request line, host, content-length and the empty line."""


def encode_head(method: str, path: str, authority: str, headers: HeaderList, length: int) -> bytes:
    """The head of a request. Raises ValueError for what would not be one line of ASCII for each header."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    if "accept: " not in lines or "\r\naccept: " not in "\r\n" + lines:
        lines = "accept: */*\r\n" + lines
        count = len(headers) + _OWN_LINES + 1
    else:
        count = len(headers) + _OWN_LINES
    head = f"{method} {path} HTTP/1.1\r\nhost: {authority}\r\n{lines}content-length: {length}\r\n\r\n"
    if head.count("\n") != count or head.count("\r") != count or "\0" in head:
        raise ValueError("a header holds a line break or a NUL")
    return head.encode("ascii")
