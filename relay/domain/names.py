"""Names that users give: the uids of sources, applications and endpoints. One rule, wherever they come from."""

import re

from relay.domain.model import SourceUid
from relay.errors import Fault, Invalid

SOURCE_UID_MOST = 128
UID_MOST = 256
ID_PREFIXES = ("app_", "ep_", "msg_", "atmpt_")
"""What the relay's own ids begin with. No uid does, so that a name is either an id or a uid."""
NAME = r"^(?!\.{1,2}\Z)[a-zA-Z0-9_.-]+\Z"
r"""The pattern of every name. `.` and `..` are not names in a path. `\Z`, because `$` lets a line feed through."""
OWN_UID = rf"^(?!\.{{1,2}}\Z|{'|'.join(ID_PREFIXES)})[a-zA-Z0-9_.-]+\Z"
"""The pattern of a uid that an application or endpoint is given."""

_NAME, _OWN_UID = re.compile(NAME), re.compile(OWN_UID)

Path = tuple[str | int, ...]
"""Where a name stands in the request, for the message."""


def name_in_words(most: int) -> str:
    """What a name may be, for the message.

    >>> name_in_words(3)
    'must be 1 to 3 letters (a-z, A-Z), digits, dots, dashes or underscores, and not `.` or `..`'
    """
    return f"must be 1 to {most} letters (a-z, A-Z), digits, dots, dashes or underscores, and not `.` or `..`"


def own_uid_in_words() -> str:
    """What the uid of an application or endpoint may be, for the message."""
    return f"{name_in_words(UID_MOST)}, and must not begin as ids do ({', '.join(ID_PREFIXES)})"


def is_name(text: object, *, most: int = UID_MOST) -> bool:
    """Whether a value is a name."""
    return isinstance(text, str) and len(text) <= most and _NAME.match(text) is not None


def checked_name(text: str, *, most: int = UID_MOST, path: Path) -> str:
    """A name that can stand in a path and in the names of keys. Raises Invalid."""
    if not is_name(text, most=most):
        raise Invalid(Fault(path, name_in_words(most)))
    return text


def source_uid(text: str, *, path: Path = ("path", "uid")) -> SourceUid:
    """The uid of a source. Raises Invalid."""
    return SourceUid(checked_name(text, most=SOURCE_UID_MOST, path=path))


def own_uid(text: str | None, *, path: Path = ("body", "uid")) -> str | None:
    """A uid that an application or endpoint is given. No id of anything begins like it. Raises Invalid."""
    if text is not None and (len(text) > UID_MOST or not _OWN_UID.match(text)):
        raise Invalid(Fault(path, own_uid_in_words()))
    return text
