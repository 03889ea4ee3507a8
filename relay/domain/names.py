"""Names that users give: the uids of sources, applications and endpoints. One rule, wherever they come from."""

import re

from relay.domain.model import SourceUid
from relay.errors import Fault, Invalid

SOURCE_UID_MOST = 128
UID_MOST = 256
_FORM = re.compile(r"(?!\.{1,2}\Z)[a-zA-Z0-9_.-]+")
"""`.` and `..` are no names in a path. `$` would let a line feed through."""

Path = tuple[str | int, ...]
"""Where a name stands in the request, for the words of a refusal."""


def checked_name(text: str, *, most: int, path: Path) -> str:
    """A name that can stand in a path and in the names of keys. Raises Invalid."""
    if len(text) > most or not _FORM.fullmatch(text):
        raise Invalid(Fault(path, f"must be 1 to {most} letters, digits, dots, dashes or underscores"))
    return text


def source_uid(text: str, *, path: Path = ("path", "uid")) -> SourceUid:
    """The uid of a source. Raises Invalid."""
    return SourceUid(checked_name(text, most=SOURCE_UID_MOST, path=path))


def own_uid(text: str | None, *, prefix: str, path: Path = ("body", "uid")) -> str | None:
    """A uid that an application or endpoint is given; it can't be taken for an id. Raises Invalid."""
    if text is None:
        return None
    if text.startswith(prefix):
        raise Invalid(Fault(path, f"must not begin with {prefix}: that is how ids begin"))
    return checked_name(text, most=UID_MOST, path=path)
