"""URLs that are secrets themselves, because anyone who has one can use it. Only their origins are shown."""

from urllib.parse import parse_qsl, unquote, urlsplit

HIDDEN_PATH = "/••••"
SHORTEST_PART = 10
"""A shorter part of a path is hidden together with the whole path only: `services` is no secret."""


def masked(url: str) -> str:
    """A URL as everybody may see it.

    >>> masked("https://hooks.slack.com/services/T0/B0/x?y=z")
    'https://hooks.slack.com/••••'
    """
    split = urlsplit(url)
    return f"{split.scheme}://{split.netloc}{HIDDEN_PATH}"


def secret_parts(url: str) -> list[str]:
    """What of a URL must not be seen: all of it, its path with the query, and each long part of them."""
    split = urlsplit(url)
    path = split.path + (f"?{split.query}" if split.query else "")
    parts = [unquote(part) for part in split.path.split("/")]
    parts += [value for _, value in parse_qsl(split.query)]
    return [url, *([path] if len(path) >= SHORTEST_PART else []), *(p for p in parts if len(p) >= SHORTEST_PART)]
