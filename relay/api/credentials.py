"""An endpoint's credentials: what a request omits stays as it is stored."""

from msgspec import UnsetType

from relay.api.certificates import client_certificate
from relay.api.schemas.credentials import BasicAuthIn, BearerIn, ClientCertificateIn, OAuth2In
from relay.domain.credentials import BasicAuth, Bearer, EndpointAuth, OAuth2
from relay.domain.model import ClientCertificate


def whole_auth(auth: BasicAuthIn | BearerIn | OAuth2In | None, kept: EndpointAuth | None) -> EndpointAuth | None:
    """Credentials, with the stored secret where the request omits it. `relay.api.asked` has found the faults."""
    match auth:
        case BasicAuthIn():
            return BasicAuth(auth.username, _or(auth.password, kept.password if isinstance(kept, BasicAuth) else ""))
        case BearerIn():
            return Bearer(_or(auth.token, kept.token if isinstance(kept, Bearer) else ""))
        case OAuth2In():
            return OAuth2(
                token_url=auth.token_url,
                client_id=auth.client_id,
                client_secret=_or(auth.client_secret, kept.client_secret if isinstance(kept, OAuth2) else ""),
                scope=auth.scope,
                token_auth=auth.token_auth,
            )
    return None


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
