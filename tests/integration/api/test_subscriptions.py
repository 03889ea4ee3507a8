"""What an application and an endpoint may be told to be, through the API."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256K1,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from relay.domain.credentials import Bearer, OAuth2
from relay.domain.model import ClientCertificate
from relay.domain.signing import new_private_key, public_key
from relay.wiring import Stores

URL = "https://hooks.example.com/in"
SOURCE = {"baseUrl": "https://u.test", "igrp": 1, "auth": {"type": "apiKey", "key": "k"}, "routes": ["all"]}


@pytest.fixture
async def app_id(http: httpx.AsyncClient) -> str:
    """An application."""
    return str((await http.post("/app", json={"name": "One", "uid": "one"})).json()["id"])


async def test_old_and_new_names_are_taken_and_answered(http: httpx.AsyncClient, app_id: str) -> None:
    """Older clients say filterTypes, rateLimit and version; both kinds find what they know in the answer."""
    old = {"url": URL, "filterTypes": ["call.created"], "rateLimit": 3, "version": 1}
    endpoint = (await http.post("/app/one/endpoint", json=old)).json()
    for new, before in (("eventTypes", "filterTypes"), ("throttleRate", "rateLimit")):
        assert endpoint[new] == endpoint[before]
    assert (endpoint["eventTypes"], endpoint["throttleRate"], endpoint["version"]) == (["call.created"], 3, 1)
    both = {"url": URL, "eventTypes": ["call.created"], "filterTypes": ["goal.created"]}
    answer = await http.post("/app/one/endpoint", json=both)
    assert answer.json()["detail"][0]["loc"] == ["body", "filterTypes"]
    app = (await http.patch("/app/one", json={"rateLimit": 4})).json()
    assert app["throttleRate"] == app["rateLimit"] == 4


async def test_no_event_types_are_all_of_them(http: httpx.AsyncClient, app_id: str) -> None:
    """Null and left out mean the same; a type that does not exist is refused with its place."""
    for left_out in ({}, {"eventTypes": None}, {"filterTypes": None}, {"channels": None}):
        made = (await http.post("/app/one/endpoint", json={"url": URL, **left_out})).json()
        assert (made["eventTypes"], made["filterTypes"], made["channels"]) == (None, None, None)
    answer = await http.patch(f"/app/one/endpoint/{made['id']}", json={"filterTypes": ["call.created", "call.gone"]})
    assert answer.json()["detail"][0]["loc"] == ["body", "filterTypes", "1"]


@pytest.mark.parametrize("field", ["eventTypes", "filterTypes", "channels"])
async def test_an_empty_list_of_event_types_or_channels_is_refused(
    http: httpx.AsyncClient, app_id: str, field: str
) -> None:
    """As in Svix, whichever name a client uses: a list that a client filtered down to nothing is not everything."""
    made = (await http.post("/app/one/endpoint", json={"url": URL})).json()
    path = f"/app/one/endpoint/{made['id']}"
    calls = (("POST", "/app/one/endpoint"), ("PUT", path), ("PUT", "/app/one/endpoint/new"), ("PATCH", path))
    for method, where in calls:
        answer = await http.request(method, where, json={"url": URL, field: []})
        (fault,) = answer.json()["detail"]
        assert (answer.status_code, fault["loc"]) == (422, ["body", field])
        assert "send null" in fault["msg"]
    for old in ("event_types", "filter_types"):
        (fault,) = (await http.patch(path, json={old: ["call.created"]})).json()["detail"]
        assert (fault["loc"], fault["type"]) == (["body", old], "extra")


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/", "https://10.0.0.1/", "https://user:secret@hooks.example.com/", "https://127.0.0.1/",
        "https://169.254.169.254/latest", "https://localhost/", "https://[::1]/", "file:///etc/passwd", "hooks",
    ],
)  # fmt: skip
async def test_an_endpoint_cannot_point_where_callbacks_must_not_go(
    http: httpx.AsyncClient, app_id: str, url: str
) -> None:
    """Private addresses, plain http and credentials in the URL are refused when it is made and when it is changed."""
    answers = [await http.post("/app/one/endpoint", json={"url": url})]
    made = (await http.post("/app/one/endpoint", json={"url": URL})).json()
    answers.append(await http.put(f"/app/one/endpoint/{made['id']}", json={"url": url}))
    answers.append(await http.patch(f"/app/one/endpoint/{made['id']}", json={"url": url}))
    for answer in answers:
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["body", "url"]


async def test_a_filter_is_compiled_when_it_is_saved(http: httpx.AsyncClient, app_id: str) -> None:
    """A fault in it is told with the path to it, for applications and endpoints."""
    wrong = {"$and": [{"callDuration": {"$gt": "x"}}]}
    for answer in (
        await http.patch("/app/one", json={"filter": wrong}),
        await http.post("/app/one/endpoint", json={"url": URL, "filter": wrong}),
    ):
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"][:4] == ["body", "filter", "$and", "0"]
    right = {"callDuration": {"$gt": 60}}
    assert (await http.post("/app/one/endpoint", json={"url": URL, "filter": right})).json()["filter"] == right


async def test_a_filter_on_an_unknown_field_or_class_is_refused_with_the_nearest_name(
    http: httpx.AsyncClient, app_id: str
) -> None:
    """Every fault of it at once, for applications and endpoints, when they are made and when they are changed."""
    wrong = {"callDuraton": {"$gt": 60}, "classes": "cal", "$not": {}}
    made = (await http.post("/app/one/endpoint", json={"url": URL})).json()
    for answer in (
        await http.post("/app", json={"name": "Two", "filter": wrong}),
        await http.patch("/app/one", json={"filter": wrong}),
        await http.post("/app/one/endpoint", json={"url": URL, "filter": wrong}),
        await http.put(f"/app/one/endpoint/{made['id']}", json={"url": URL, "filter": wrong}),
        await http.patch(f"/app/one/endpoint/{made['id']}", json={"filter": wrong}),
    ):
        assert answer.status_code == 422
        faults = {each["loc"][2]: each["msg"] for each in answer.json()["detail"]}
        assert list(faults) == ["callDuraton", "classes", "$not"]
        assert "did you mean callDuration?" in faults["callDuraton"]
        assert "did you mean call?" in faults["classes"]
    for right in ({"c_anything": 1}, {"pt_gclid": "x"}, {"$fields": ["leadStatus"], "leadStatus": "won"}):
        answer = await http.patch(f"/app/one/endpoint/{made['id']}", json={"filter": right})
        assert (answer.status_code, answer.json()["filter"]) == (200, right)


async def test_an_application_takes_sources_that_exist(http: httpx.AsyncClient, app_id: str) -> None:
    """None of them named: every source; one that does not exist is refused with its place."""
    await http.put("/source/s", json=SOURCE)
    assert (await http.get("/app/one")).json()["sources"] is None
    assert (await http.patch("/app/one", json={"sources": ["s"]})).json()["sources"] == ["s"]
    answer = await http.patch("/app/one", json={"sources": ["s", "t"]})
    assert answer.json()["detail"][0]["loc"] == ["body", "sources", "1"]
    assert (await http.patch("/app/one", json={"sources": None})).json()["sources"] is None


async def test_a_client_that_knows_nothing_of_filters_cannot_lift_them(http: httpx.AsyncClient, app_id: str) -> None:
    """A PUT in Svix's words resets Svix's fields only; what narrows a tenant stays until it is named."""
    await http.put("/source/s", json=SOURCE)
    ours = {"sources": ["s"], "filter": {"callDuration": {"$gt": 60}}}
    await http.patch("/app/one", json=ours)
    app = (await http.put("/app/one", json={"name": "New"})).json()
    assert {name: app[name] for name in ours} == ours
    assert app["uid"] == "one"
    endpoint_ours = {"filter": {"goal": "1"}, "maxInFlight": 3, "order": "fifo", "retrySchedule": [1.0], "paused": True}
    made = (await http.post("/app/one/endpoint", json={"url": URL, "disabled": True, **endpoint_ours})).json()
    put = (await http.put(f"/app/one/endpoint/{made['id']}", json={"url": URL})).json()
    assert {name: put[name] for name in endpoint_ours} == endpoint_ours
    assert put["disabled"] is False


async def test_secrets_of_an_endpoint_are_not_answered(http: httpx.AsyncClient, app_id: str, stores: Stores) -> None:
    """Credentials, private keys and tokens are kept and used, and never shown."""
    private = _private_key()
    pair = {"certificate": _certificate(private), "privateKey": _pem(private)}
    oauth = {"type": "oauth2", "tokenUrl": "https://id.example.com/token", "clientId": "c", "clientSecret": "canary"}
    made = await http.post(
        "/app/one/endpoint",
        json={"url": URL, "auth": oauth, "clientCertificate": pair, "secret": new_private_key(b"c" * 32)},
    )
    endpoint = made.json()
    assert endpoint["auth"] == {
        "type": "oauth2",
        "tokenUrl": oauth["tokenUrl"],
        "clientId": "c",
        "scope": None,
        "tokenAuth": None,
        "scheme": "Bearer",
        "baseUrlField": None,
        "baseUrlSuffix": None,
    }
    assert endpoint["clientCertificate"] == {"certificate": pair["certificate"]}
    assert "PRIVATE" not in made.text
    assert "canary" not in made.text
    assert (await http.get(f"/app/one/endpoint/{endpoint['id']}/secret")).json()["key"] == public_key(
        new_private_key(b"c" * 32)
    )
    kept = await stores.endpoints.get((await stores.applications.get("one")).id, endpoint["id"])
    assert kept.auth == OAuth2(token_url=oauth["tokenUrl"], client_id="c", client_secret="canary")
    assert kept.client_certificate == ClientCertificate(certificate=pair["certificate"], private_key=pair["privateKey"])
    bearer = {"auth": {"type": "bearer", "token": "canary"}, "clientCertificate": None}
    patched = await http.patch(f"/app/one/endpoint/{endpoint['id']}", json=bearer)
    assert (patched.json()["auth"], patched.json()["clientCertificate"]) == ({"type": "bearer"}, None)
    assert (await stores.endpoints.get(kept.app_id, endpoint["id"])).auth == Bearer("canary")


@pytest.mark.parametrize(
    ("change", "loc"),
    [
        ({"auth": {"type": "bearer", "token": "a\nb"}}, ["body", "auth", "token"]),
        ({"auth": {"type": "basic", "username": "a:b", "password": "p"}}, ["body", "auth", "username"]),
        (
            {"auth": {"type": "oauth2", "tokenUrl": "https://10.0.0.1/", "clientId": "c", "clientSecret": "s"}},
            ["body", "auth", "tokenUrl"],
        ),
        ({"clientCertificate": {"certificate": "x", "privateKey": "y"}}, ["body", "clientCertificate", "certificate"]),
        ({"headers": {"webhook-id": "x"}}, ["body", "headers", "webhook-id"]),
        ({"headers": {"Host": "x"}}, ["body", "headers", "Host"]),
        ({"headers": {"x a": "x"}}, ["body", "headers", "x a"]),
        ({"headers": {"x-a": "x\r\ny: z"}}, ["body", "headers", "x-a"]),
        ({"secret": "whsec_c2hvcnQ="}, ["body", "secret"]),
        ({"secret": "not base64"}, ["body", "secret"]),
        ({"uid": "ep_x"}, ["body", "uid"]),
        ({"retrySchedule": [5, -1]}, ["body", "retrySchedule", "1"]),
        ({"maxInFlight": 0}, ["body", "maxInFlight"]),
        ({"order": "sorted"}, ["body", "order"]),
        ({"order": "keyed"}, ["body", "orderKey"]),
        ({"signatures": []}, ["body", "signatures"]),
        ({"signatures": ["v2"]}, ["body", "signatures", "0"]),
        ({"signatures": ["v1a"], "secret": "whsec_" + "a" * 32}, ["body", "secret"]),
        ({"throttleRate": 0}, ["body", "throttleRate"]),
        ({"maxInflight": 5}, ["body", "maxInflight"]),
    ],
)
async def test_what_would_not_work_is_refused(
    http: httpx.AsyncClient, app_id: str, change: dict[str, Any], loc: list[str | int]
) -> None:
    """With the path to what is wrong, and without repeating a secret."""
    answer = await http.post("/app/one/endpoint", json={"url": URL, **change})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == loc


@pytest.mark.parametrize("path", ["vid", "txr", "c_customer", "trigger.igrp", "rowId", "c_a.b", "c_order id"])
async def test_any_field_of_the_row_can_be_what_order_goes_by(http: httpx.AsyncClient, app_id: str, path: str) -> None:
    """Columns that nobody has heard of too, for customers have their own."""
    answer = await http.post("/app/one/endpoint", json={"url": URL, "order": "keyed", "orderKey": path})
    assert (answer.status_code, answer.json()["orderKey"]) == (201, path)


@pytest.mark.parametrize(
    "path", ["", "$or", "a..b", ".a", "a.", "classes", "previous.vid", "igrp", "trigger", "notes", "txv", "x" * 257]
)
async def test_order_goes_by_nothing_else(http: httpx.AsyncClient, app_id: str, path: str) -> None:
    """What holds a list or a number of money, or is not the row's, is refused when it is saved."""
    answer = await http.post("/app/one/endpoint", json={"url": URL, "order": "keyed", "orderKey": path})
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "orderKey"])


async def test_an_order_by_key_has_its_key(http: httpx.AsyncClient, app_id: str) -> None:
    """Also after a change of one of the two: without a key nothing would be in order, and nobody would know."""
    made = (await http.post("/app/one/endpoint", json={"url": URL, "orderKey": "vid"})).json()
    path = f"/app/one/endpoint/{made['id']}"
    assert (await http.patch(path, json={"order": "keyed"})).status_code == 200
    answer = await http.patch(path, json={"orderKey": None})
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "orderKey"])
    assert (await http.patch(path, json={"orderKey": None, "order": "fifo"})).status_code == 200
    assert (await http.patch(path, json={"order": "keyed"})).status_code == 422


@pytest.mark.parametrize(
    ("certified", "given", "message"),
    [
        (SECP256R1(), SECP256R1(), "is not the key"),
        (SECP256K1(), None, "ECDSA on P-256"),
    ],
    ids=["of another", "of a curve that TLS does not have"],
)
async def test_a_certificate_needs_its_own_key(
    http: httpx.AsyncClient, app_id: str, certified: Any, given: Any, message: str
) -> None:
    """What the first callback would fail with is refused when it is saved."""
    own = generate_private_key(certified)
    pair = {"certificate": _certificate(own), "privateKey": _pem(generate_private_key(given) if given else own)}
    (fault,) = (await http.post("/app/one/endpoint", json={"url": URL, "clientCertificate": pair})).json()["detail"]
    assert fault["loc"] == ["body", "clientCertificate", "privateKey"]
    assert message in fault["msg"]


async def test_keys_do_not_pile_up(http: httpx.AsyncClient, app_id: str, clock: Any) -> None:
    """A sixth key that would sign is refused until one has expired."""
    made = (await http.post("/app/one/endpoint", json={"url": URL})).json()
    path = f"/app/one/endpoint/{made['id']}/secret/rotate"
    statuses = [(await http.post(path, json={})).status_code for _ in range(6)]
    assert statuses == [200] * 4 + [409] * 2
    clock.at_ms += 24 * 3600 * 1000
    assert (await http.post(path)).status_code == 200


async def test_a_public_key_is_published_for_as_long_as_it_signs(
    http: httpx.AsyncClient, app_id: str, clock: Any
) -> None:
    """The newest first; an endpoint without any is not found, and neither is one by its uid."""
    made = (await http.post("/app/one/endpoint", json={"url": URL, "uid": "crm", "signatures": ["v1a"]})).json()
    path = f"http://relay/.well-known/webhook-keys/{made['id']}"
    (old,) = (await http.get(path)).json()["keys"]
    await http.post("/app/one/endpoint/crm/secret/rotate", json={"gracePeriodSeconds": 60})
    new, still = (await http.get(path)).json()["keys"]
    assert still == old
    clock.at_ms += 60_000
    assert (await http.get(path)).json()["keys"] == [new]
    other = (await http.post("/app/one/endpoint", json={"url": URL})).json()["id"]
    for name in (other, "crm", "ep_none"):
        assert (await http.get(f"http://relay/.well-known/webhook-keys/{name}")).status_code == 404


@pytest.mark.parametrize(
    "uid", ["", ".", "..", "a/b", "a b", "a\n", "é", "x" * 257, "app_1", "ep_1", "msg_1", "atmpt_1"]
)
async def test_a_uid_follows_one_rule_in_path_and_body(http: httpx.AsyncClient, app_id: str, uid: str) -> None:
    """Whatever is refused in a body is refused in a path, and the other way round: applications and endpoints alike."""
    in_body = [
        await http.post("/app", json={"name": "n", "uid": uid}),
        await http.put("/app/new", json={"name": "n", "uid": uid}),
        await http.patch("/app/one", json={"uid": uid}),
        await http.post("/app/one/endpoint", json={"url": URL, "uid": uid}),
        await http.put("/app/one/endpoint/new", json={"url": URL, "uid": uid}),
    ]
    assert [answer.status_code for answer in in_body] == [422] * 5
    in_path = [
        await http.put(f"/app/{quote(uid, safe='')}", json={"name": "n"}),
        await http.put(f"/app/one/endpoint/{quote(uid, safe='')}", json={"url": URL}),
    ]
    assert all(answer.status_code in (404, 405, 422) for answer in in_path)
    assert len((await http.get("/app")).json()["data"]) == 1
    assert (await http.get("/app/one/endpoint")).json()["data"] == []


@pytest.mark.parametrize(
    "uid", ["config", "rates", "endpoints", "polls", "index", "0", "-", "...", "A", "a", "x" * 128]
)
async def test_a_uid_meets_no_key_of_the_relays_own(http: httpx.AsyncClient, app_id: str, uid: str) -> None:
    """Sources, applications and endpoints may be called like the parts of the store's keys: nothing is shared."""
    assert (await http.put(f"/source/{uid}", json=SOURCE)).status_code == 201
    app = (await http.put(f"/app/{uid}", json={"name": "n", "sources": [uid]})).json()
    endpoint = (await http.put(f"/app/{uid}/endpoint/{uid}", json={"url": URL})).json()
    assert (
        (await http.get(f"/app/{uid}")).json()["id"] == app["id"] == (await http.get(f"/app/{app['id']}")).json()["id"]
    )
    assert (await http.get(f"/app/{app['id']}/endpoint/{uid}")).json()["id"] == endpoint["id"]
    other = uid.swapcase() if uid.swapcase() != uid else f"{uid}-2"
    assert (await http.get(f"/app/{other}")).status_code == 404  # As it was given: capitals count.
    assert (await http.get("/app/one")).json()["uid"] == "one"
    for path in (f"/app/{uid}/endpoint/{uid}", f"/app/{uid}", f"/source/{uid}"):
        assert (await http.delete(path)).status_code == 204
    assert (await http.get("/app/one")).status_code == 200


async def test_a_request_that_is_sent_again_makes_nothing_twice(http: httpx.AsyncClient, app_id: str) -> None:
    """With one idempotency-key the answer is the same; other content under it is refused; other keys are others."""
    bodies = {"/app": {"name": "Two"}, "/app/one/endpoint": {"url": URL}}
    for path, body in bodies.items():
        first, again = [await http.post(path, json=body, headers={"idempotency-key": "k"}) for _ in range(2)]
        other = await http.post(path, json=body, headers={"idempotency-key": "l"})
        changed = await http.post(path, json=body | {"metadata": {"a": "b"}}, headers={"idempotency-key": "k"})
        assert (first.status_code, first.json()) == (again.status_code, again.json())
        assert other.json()["id"] != first.json()["id"]
        assert (changed.status_code, changed.json()["code"]) == (422, "invalid")
    assert len((await http.get("/app/one/endpoint")).json()["data"]) == 2


async def test_an_endpoint_says_why_it_is_disabled(http: httpx.AsyncClient, app_id: str) -> None:
    """The reason comes with it, and goes when it is enabled."""
    made = (await http.post("/app/one/endpoint", json={"url": URL})).json()
    path = f"/app/one/endpoint/{made['id']}"
    assert (await http.patch(path, json={"disabled": True})).json()["disabledReason"]
    assert (await http.patch(path, json={"disabled": False})).json()["disabledReason"] is None


def _private_key() -> EllipticCurvePrivateKey:
    return generate_private_key(SECP256R1())


def _pem(key: EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _certificate(key: EllipticCurvePrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "relay")])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=3650))
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()
