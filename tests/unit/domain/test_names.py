"""Names that users give."""

import pytest

from relay.domain.base62 import base62
from relay.domain.names import ID_PREFIXES, own_uid, source_uid
from relay.errors import Invalid
from relay.store import applications, endpoints
from relay.store.identifiers import new_id

BAD = ["", ".", "..", "a/b", "a:b", "a b", "a\n", "é", "a*", "a?", "[a]", "{a}", "a\\", "a\0"]


@pytest.mark.parametrize("name", [*BAD, "x" * 129])
def test_a_name_that_could_be_another_key_is_no_source(name: str) -> None:
    """What separates the parts of a key or a path, and what is a pattern, stands in no name."""
    with pytest.raises(Invalid):
        source_uid(name)


@pytest.mark.parametrize("name", [*BAD, "x" * 257, "app_", "app_1", "ep_1", "msg_1", "atmpt_1"])
def test_a_uid_is_no_id_and_no_path(name: str) -> None:
    """Applications and endpoints follow the same rule, and can't be taken for an id."""
    with pytest.raises(Invalid):
        own_uid(name)


@pytest.mark.parametrize("name", ["a", "...", "config", "rates", "a.b_c-1", "-", "x" * 128])
def test_a_name_of_ones_own_is_as_it_is(name: str) -> None:
    """Letters, digits, dots, dashes and underscores, in any order."""
    assert source_uid(name) == own_uid(name) == name


def test_ids_of_the_store_begin_as_no_uid_does() -> None:
    """A prefix that is added to the store is added to the rule."""
    assert {applications.PREFIX, endpoints.PREFIX} <= set(ID_PREFIXES)
    assert base62(0)[:1] not in "_.-"
    with pytest.raises(Invalid, match="must not begin as ids do"):
        own_uid(new_id(endpoints.PREFIX, now_ms=1))
