"""An endpoint's credentials: what a request omits stays as it is stored."""

from typing import Any

from msgspec import UNSET, UnsetType, structs

from relay.api.certificates import client_certificate
from relay.api.schemas.credentials import (
    AuthIn,
    BasicAuthIn,
    BearerIn,
    ClientCertificateIn,
    GrantedIn,
    JwtBearerIn,
    KeyAuthIn,
    OAuth2In,
    RefreshTokenIn,
    ServiceAccountIn,
)
from relay.domain.credentials import (
    GOOGLE_TOKEN_URL,
    BasicAuth,
    Bearer,
    EndpointAuth,
    JwtBearer,
    KeyAuth,
    OAuth2,
    RefreshToken,
    ServiceAccount,
)
from relay.domain.model import ClientCertificate


def whole_auth(auth: AuthIn | None, kept: EndpointAuth | None) -> EndpointAuth | None:
    """Credentials, with the stored secret where the request omits it. `relay.api.asked` has found the faults."""
    match auth:
        case BasicAuthIn():
            return BasicAuth(auth.username, _or(auth.password, kept.password if isinstance(kept, BasicAuth) else ""))
        case BearerIn():
            return Bearer(_or(auth.token, kept.token if isinstance(kept, Bearer) else ""))
        case KeyAuthIn():
            value = _or(auth.value, kept.value if isinstance(kept, KeyAuth) else "")
            return KeyAuth(in_=auth.in_, name=auth.name, prefix=auth.prefix, value=value)
        case GrantedIn():
            return _granted(auth, kept)
    return None


def _granted(
    auth: OAuth2In | RefreshTokenIn | JwtBearerIn | ServiceAccountIn, kept: EndpointAuth | None
) -> EndpointAuth:
    fields = {name: getattr(auth, name) for name in auth.__struct_fields__}
    match auth:
        case OAuth2In():
            secret = _or(auth.client_secret, kept.client_secret if isinstance(kept, OAuth2) else "")
            return OAuth2(**fields | {"client_secret": secret})
        case RefreshTokenIn():
            secret = _or(auth.client_secret, kept.client_secret if isinstance(kept, RefreshToken) else "")
            return RefreshToken(**fields | {"client_secret": secret} | _refresh_tokens(auth, kept))
        case JwtBearerIn():
            key = _or(auth.private_key, kept.private_key if isinstance(kept, JwtBearer) else "")
            return JwtBearer(**fields | {"private_key": key})
        case ServiceAccountIn():
            return _service_account(auth, kept)


def _refresh_tokens(auth: RefreshTokenIn, kept: EndpointAuth | None) -> dict[str, str]:
    """The newest refresh token and the given one. The one that was given before stands for the newest one."""
    asked = auth.refresh_token
    if isinstance(kept, RefreshToken) and (asked is UNSET or asked in (kept.given, kept.refresh_token)):
        return {"refresh_token": kept.refresh_token, "given": kept.given}
    return {"refresh_token": _or(asked, ""), "given": _or(asked, "")}


def _service_account(auth: ServiceAccountIn, kept: EndpointAuth | None) -> ServiceAccount:
    own: dict[str, Any] = {"scopes": tuple(auth.scopes), "subject": auth.subject, "scheme": auth.scheme}
    own |= {"base_url_field": auth.base_url_field, "base_url_suffix": auth.base_url_suffix}
    if isinstance(auth.key, UnsetType):
        assert isinstance(kept, ServiceAccount)  # noqa: S101 - relay.api.asked says so
        return structs.replace(kept, **own)
    key = auth.key
    return ServiceAccount(
        token_url=key.get("token_uri") or GOOGLE_TOKEN_URL,
        client_email=key["client_email"],
        private_key=key["private_key"],
        key_id=key.get("private_key_id") or None,
        **own,
    )


def whole_certificate(pair: ClientCertificateIn | None, kept: ClientCertificate | None) -> ClientCertificate | None:
    """A certificate with its key, or with the stored key where the request omits it. Raises Invalid."""
    if pair is None:
        return None
    key = _or(pair.private_key, kept.private_key if kept else "")
    if kept == ClientCertificate(certificate=pair.certificate, private_key=key):
        return kept
    return client_certificate(pair.certificate, key, path=("body", "clientCertificate"))


def _or(asked: str | UnsetType, kept: str) -> str:
    return kept if isinstance(asked, UnsetType) else asked
