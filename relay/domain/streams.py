"""Streams: events with numbers, lanes and books of their own. Its origin is a source, or the posts of an application.

The code that stores, sends and forgets events works on streams. It knows a stream by its name, which for a source is
its uid, and calls it `source`.
"""

from relay.domain.model import ApplicationId, SourceUid

_POSTS = "posts@"
"""No uid of a source has an `@` (relay.domain.names), so no source has the name of another stream."""


def posts_of(application: ApplicationId) -> SourceUid:
    """The stream of an application's posts.

    >>> posts_of(ApplicationId("app_1"))
    'posts@app_1'
    """
    return SourceUid(f"{_POSTS}{application}")


def are_posts(stream: SourceUid) -> bool:
    """Whether a stream is of posts, and not of a source."""
    return stream.startswith(_POSTS)
