"""Parts of a path that people give lead to no other object."""

from urllib.parse import unquote, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.url_paths import url_path
from relay.errors import Invalid


@pytest.mark.parametrize("part", ["", ".", "..", "\udc80"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_part_that_names_no_object_is_refused(part: str, place: int) -> None:
    """At the beginning, between others and at the end."""
    parts = ["app", "one", "endpoint"]
    parts[place] = part
    with pytest.raises(Invalid):
        url_path(*parts)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), min_size=1, max_size=4))
def test_every_other_part_arrives_as_it_is(parts: list[str]) -> None:
    """Whatever it has in it, an HTTP client sends as many parts, with these texts."""
    if {".", ".."} & set(parts):
        return
    sent = httpx.Request("GET", f"http://relay/api/v1/{url_path(*parts)}").url.raw_path.decode()
    path = urlsplit(f"http://relay{sent}").path.removeprefix("/api/v1/")
    assert [unquote(part) for part in path.split("/")] == parts
