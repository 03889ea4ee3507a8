"""The published Svix client works against the relay as it is."""

import base64
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from svix.api import (
    ApplicationIn,
    ApplicationListOptions,
    ApplicationPatch,
    EndpointHeadersIn,
    EndpointHeadersPatchIn,
    EndpointIn,
    EndpointListOptions,
    EndpointPatch,
    EndpointSecretRotateIn,
    EndpointUpsertIn,
    EventTypeListOptions,
    SvixAsync,
)
from svix.api.errors.http_error import HttpError
from svix.api.errors.http_validation_error import HTTPValidationError
from svix.models import Ordering

from relay.domain.event_types import EVENT_TYPES
from relay.wiring import Stores
from tests.patience import PATIENCE_S

URL = "https://hooks.example.com/in"


async def test_applications(svix: SvixAsync) -> None:
    """Make, get, get or make, list, replace, change, delete; by id and by uid."""
    made = await svix.application.create(ApplicationIn(name="One", uid="one", throttle_rate=5, metadata={"team": "a"}))
    assert (made.name, made.uid, made.throttle_rate, made.metadata) == ("One", "one", 5, {"team": "a"})
    assert await svix.application.get("one") == made == await svix.application.get(made.id)
    assert await svix.application.get_or_create(ApplicationIn(name="Other", uid="one")) == made
    second = await svix.application.get_or_create(ApplicationIn(name="Two", uid="two"))
    assert second.id != made.id
    replaced = await svix.application.upsert("one", ApplicationIn(name="Uno", uid="one"))
    assert (replaced.id, replaced.name, replaced.throttle_rate, replaced.metadata) == (made.id, "Uno", None, {})
    third = await svix.application.upsert("three", ApplicationIn(name="Three"))
    assert third.uid == "three"
    patched = await svix.application.patch(made.id, ApplicationPatch(uid="uno"))
    assert (patched.uid, patched.name) == ("uno", "Uno")
    await svix.application.delete("uno")
    with pytest.raises(HttpError) as caught:
        await svix.application.get(made.id)
    assert (caught.value.status_code, caught.value.code) == (404, "not_found")
    assert {app.uid for app in (await svix.application.list()).data} == {"two", "three"}


async def test_a_uid_that_is_taken_is_a_conflict(svix: SvixAsync) -> None:
    """The client raises an HttpError of 409 that says which."""
    await svix.application.create(ApplicationIn(name="One", uid="one"))
    with pytest.raises(HttpError, match="one") as caught:
        await svix.application.create(ApplicationIn(name="Two", uid="one"))
    assert (caught.value.status_code, caught.value.code) == (409, "conflict")


async def test_lists_go_forth_and_back(svix: SvixAsync) -> None:
    """`iterator` leads on, `prevIterator` back, `done` says when it is over; in both orders."""
    ids = [(await svix.application.create(ApplicationIn(name=str(n)))).id for n in range(5)]
    ids.sort()
    for order, expected in ((Ordering.ASCENDING, ids), (Ordering.DESCENDING, ids[::-1])):
        first = await svix.application.list(ApplicationListOptions(limit=2, order=order))
        assert ([app.id for app in first.data], first.done, first.prev_iterator) == (expected[:2], False, None)
        second = await svix.application.list(ApplicationListOptions(limit=2, order=order, iterator=first.iterator))
        assert ([app.id for app in second.data], second.done) == (expected[2:4], False)
        last = await svix.application.list(ApplicationListOptions(limit=2, order=order, iterator=second.iterator))
        assert ([app.id for app in last.data], last.done) == (expected[4:], True)
        back = await svix.application.list(ApplicationListOptions(limit=2, order=order, iterator=last.prev_iterator))
        assert [app.id for app in back.data] == expected[2:4]
    with pytest.raises(HTTPValidationError):
        await svix.application.list(ApplicationListOptions(limit=251))


async def test_endpoints(svix: SvixAsync) -> None:
    """Make, get, list, replace, change, delete; by id and by uid."""
    app = await svix.application.create(ApplicationIn(name="One", uid="one"))
    made = await svix.endpoint.create(
        "one",
        EndpointIn(
            url=URL,
            uid="crm",
            description="The CRM",
            event_types=["call.created"],
            channels=["c"],
            throttle_rate=7,
            metadata={"k": "v"},
            headers={"x-team": "a"},
        ),
    )
    assert (made.url, made.uid, made.event_types, made.throttle_rate) == (URL, "crm", ["call.created"], 7)
    assert (made.channels, made.metadata, made.disabled) == (["c"], {"k": "v"}, False)
    assert await svix.endpoint.get(app.id, "crm") == made == await svix.endpoint.get("one", made.id)
    replaced = await svix.endpoint.upsert("one", "crm", EndpointUpsertIn(url=URL + "/2"))
    assert (replaced.id, replaced.url, replaced.event_types, replaced.metadata) == (made.id, URL + "/2", None, {})
    other = await svix.endpoint.upsert("one", "other", EndpointUpsertIn(url=URL, event_types=None))
    assert (other.uid, other.event_types) == ("other", None)
    patched = await svix.endpoint.patch("one", "crm", EndpointPatch(disabled=True, event_types=["goal.updated"]))
    assert (patched.disabled, patched.event_types, patched.url) == (True, ["goal.updated"], URL + "/2")
    listed = await svix.endpoint.list("one", EndpointListOptions(limit=1, order=Ordering.DESCENDING))
    assert ([e.id for e in listed.data], listed.done) == ([max(made.id, other.id)], False)
    await svix.endpoint.delete("one", made.id)
    assert [e.id for e in (await svix.endpoint.list(app.id)).data] == [other.id]


async def test_signing_secrets(svix: SvixAsync, stores: Stores) -> None:
    """A secret is made or taken, shown to whoever must verify, and rotated with a day of grace."""
    app = await svix.application.create(ApplicationIn(name="One"))
    given = base64.b64encode(b"s" * 24).decode()
    endpoint = await svix.endpoint.create(app.id, EndpointIn(url=URL, secret=given))
    assert (await svix.endpoint.get_secret(app.id, endpoint.id)).key == f"whsec_{given}"
    rotated = await svix.endpoint.rotate_secret(app.id, endpoint.id, EndpointSecretRotateIn())
    assert len(base64.b64decode(rotated.key.removeprefix("whsec_"))) == 32
    assert (await svix.endpoint.get_secret(app.id, endpoint.id)).key == rotated.key
    kept = (await stores.endpoints.get((await stores.applications.get(app.id)).id, endpoint.id)).keys
    day_ms = 24 * 3600 * 1000
    assert [(k.key, k.expires_at_ms) for k in kept] == [
        (rotated.key, None),
        (f"whsec_{given}", 1_790_000_000_000 + day_ms),
    ]
    await svix.endpoint.rotate_secret(app.id, endpoint.id, EndpointSecretRotateIn(grace_period_seconds=0))
    kept = (await stores.endpoints.get((await stores.applications.get(app.id)).id, endpoint.id)).keys
    assert [k.key for k in kept[1:]] == [f"whsec_{given}"]
    back = await svix.endpoint.rotate_secret(app.id, endpoint.id, EndpointSecretRotateIn(key=f"whsec_{given}"))
    assert back.key == (await svix.endpoint.get_secret(app.id, endpoint.id)).key == f"whsec_{given}"


async def test_headers(svix: SvixAsync) -> None:
    """Headers are set, changed and taken away; values of those that look like secrets are not shown again."""
    app = await svix.application.create(ApplicationIn(name="One"))
    endpoint = await svix.endpoint.create(app.id, EndpointIn(url=URL))
    await svix.endpoint.set_headers(
        app.id, endpoint.id, EndpointHeadersIn(headers={"X-Team": "a", "Authorization": "Bearer x", "x-old": "1"})
    )
    await svix.endpoint.patch_headers(
        app.id, endpoint.id, EndpointHeadersPatchIn(headers={"x-team": "b"}, delete_headers=["X-Old"])
    )
    headers = await svix.endpoint.get_headers(app.id, endpoint.id)
    assert (headers.headers, headers.sensitive) == ({"x-team": "b"}, ["Authorization"])


async def test_event_types(svix: SvixAsync) -> None:
    """The catalogue is all that an endpoint can subscribe to."""
    first = await svix.event_type.list(EventTypeListOptions(limit=10))
    rest = await svix.event_type.list(EventTypeListOptions(iterator=first.iterator))
    assert [t.name for t in [*first.data, *rest.data]] == sorted(EVENT_TYPES)
    assert rest.done
    assert (await svix.event_type.get("call.created")).group_name == "call"


async def test_health(svix: SvixAsync, base_url: str) -> None:
    """Svix's health check and the probes of Kubernetes are answered without a key."""
    await svix.health.get()
    async with httpx.AsyncClient(base_url=base_url, timeout=PATIENCE_S) as client:
        assert (await client.get("/health/live")).json() == {"status": "live"}
        assert (await client.get("/health/ready")).json() == {"status": "ready"}


async def test_times_are_told_in_utc(svix: SvixAsync) -> None:
    """A client gets aware datetimes of the moment at which something was made."""
    app = await svix.application.create(ApplicationIn(name="One"))
    assert app.created_at == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=1_790_000_000_000)
