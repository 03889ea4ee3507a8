"""No secret can be seen by printing the thing that holds it."""

import base64

import pytest

from relay.config import load
from relay.domain import credentials, model
from relay.outbound.tokens.model import Issued, Token

SECRET = "hunter2hunter2hunter2"


def settings() -> object:
    key = base64.b64encode(SECRET.encode().ljust(32, b"2")[:32]).decode()
    return load({"RELAY_ADMIN_KEY": SECRET, "RELAY_ENCRYPTION_KEY": key, "RELAY_REDIS_URL": f"redis://:{SECRET}@host"})


def source(auth: model.SourceAuth) -> model.Source:
    return model.Source(
        uid=model.SourceUid("main"), name="", base_url="", version="v2", igrp=1, auth=auth, routes=("calls",)
    )


def endpoint(auth: credentials.EndpointAuth) -> model.Endpoint:
    return model.Endpoint(
        id=model.EndpointId("ep_1"),
        app_id=model.ApplicationId("app_1"),
        url="https://crm.example",
        secret_url=credentials.SecretUrl(SECRET),
        keys=(model.SigningKey(key=SECRET),),
        auth=auth,
        client_certificate=model.ClientCertificate(certificate=SECRET, private_key=SECRET),
    )


HOLDERS = {
    "settings": settings(),
    "secret": model.Secret(SECRET),
    "source with a key": source(model.ApiKeyAuth(SECRET)),
    "source with a password": source(credentials.BasicAuth(SECRET, SECRET)),
    "endpoint with a password": endpoint(credentials.BasicAuth(SECRET, SECRET)),
    "endpoint with a token": endpoint(credentials.Bearer(SECRET)),
    "endpoint with OAuth": endpoint(
        credentials.OAuth2(token_url="https://crm.example", client_id=SECRET, client_secret=SECRET)
    ),
    "endpoint with a refresh token": endpoint(
        credentials.RefreshToken(
            token_url="https://crm.example", client_id=SECRET, client_secret=SECRET, refresh_token=SECRET, given=SECRET
        )
    ),
    "endpoint with a JWT": endpoint(
        credentials.JwtBearer(
            token_url="https://crm.example", issuer=SECRET, audience=SECRET, private_key=SECRET, claims={SECRET: SECRET}
        )
    ),
    "endpoint with a service account": endpoint(
        credentials.ServiceAccount(
            token_url="https://crm.example", client_email=SECRET, private_key=SECRET, scopes=(SECRET,)
        )
    ),
    "endpoint with an API key": endpoint(credentials.KeyAuth(in_="query", name=SECRET, value=SECRET)),
    "token": Token(f"Bearer {SECRET}", SECRET),
    "token and its refresh token": Issued(Token(SECRET), 1.0, SECRET),
}


@pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS)
def test_secrets_stay_out_of_repr(holder: object) -> None:
    """repr, str and format of settings, sources and endpoints show no secret, nor its base64."""
    shown = f"{holder!r} {holder!s} {holder}"
    assert SECRET not in shown
    assert base64.b64encode(SECRET.encode()).decode()[:20] not in shown
