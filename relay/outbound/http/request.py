"""Requests as bytes. This module does no I/O."""

from collections.abc import Sequence

HeaderList = list[tuple[str, str]]

WRITTEN_HERE = frozenset({"host", "content-length", "transfer-encoding", "connection"})
"""Headers that follow from the URL and the body."""

BREAKS = "a header holds a line break or a NUL"


class Preamble:
    """How the requests to one endpoint begin: the request line, and the headers that are always the same.

    Raises ValueError for what would not be one line of ASCII each.
    """

    __slots__ = ("headers", "text")

    def __init__(self, method: str, path: str, authority: str, headers: Sequence[tuple[str, str]]) -> None:
        self.headers = tuple(headers)
        accept = "" if any(name == "accept" for name, _ in headers) else "accept: */*\r\n"
        first = f"{method} {path} HTTP/1.1\r\nhost: {authority}\r\n{accept}"
        if method == "HEAD" or _breaks(first) != 2 + bool(accept):
            raise ValueError("the request line cannot be sent")
        self.text = first + _lines(headers)


def encode_head(preamble: Preamble, headers: Sequence[tuple[str, str]], length: int) -> bytes:
    """The head of a request with some more headers. Raises ValueError as Preamble does."""
    return f"{preamble.text}{_lines(headers)}content-length: {length}\r\n\r\n".encode("ascii")


def _lines(headers: Sequence[tuple[str, str]]) -> str:
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    if _breaks(lines) != len(headers):
        raise ValueError(BREAKS)
    return lines


def _breaks(text: str) -> int:
    """How many line breaks a text has; -1 if it has others than CR LF, or a NUL."""
    count = text.count("\r\n")
    return count if count == text.count("\n") == text.count("\r") and "\0" not in text else -1
