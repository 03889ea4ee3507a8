"""No secret can be seen by printing the thing that holds it."""

import base64

import pytest

from relay.config import load
from relay.domain import model

SECRET = "hunter2hunter2hunter2"


def settings() -> object:
    key = base64.b64encode(SECRET.encode().ljust(32, b"2")[:32]).decode()
    return load({"RELAY_ADMIN_KEY": SECRET, "RELAY_ENCRYPTION_KEY": key, "RELAY_REDIS_URL": f"redis://:{SECRET}@host"})


def source(auth: model.SourceAuth) -> model.Source:
    return model.Source(
        uid=model.SourceUid("main"), name="", base_url="", version="v2", igrp=1, auth=auth, routes=("calls",)
    )


def endpoint(auth: model.EndpointAuth) -> model.Endpoint:
    return model.Endpoint(
        id=model.EndpointId("ep_1"),
        app_id=model.ApplicationId("app_1"),
        url="https://crm.example",
        keys=(model.SigningKey(key=SECRET),),
        auth=auth,
        client_certificate=model.ClientCertificate(certificate=SECRET, private_key=SECRET),
    )


HOLDERS = {
    "settings": settings(),
    "secret": model.Secret(SECRET),
    "source with a key": source(model.ApiKeyAuth(SECRET)),
    "source with a password": source(model.BasicAuth(SECRET, SECRET)),
    "endpoint with a password": endpoint(model.BasicAuth(SECRET, SECRET)),
    "endpoint with a token": endpoint(model.Bearer(SECRET)),
    "endpoint with OAuth": endpoint(
        model.OAuth2(token_url="https://crm.example", client_id=SECRET, client_secret=SECRET)
    ),
}


@pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS)
def test_secrets_stay_out_of_repr(holder: object) -> None:
    """repr, str and format of settings, sources and endpoints show no secret, nor its base64."""
    shown = f"{holder!r} {holder!s} {holder}"
    assert SECRET not in shown
    assert base64.b64encode(SECRET.encode()).decode()[:20] not in shown
