"""What an endpoint's server is shown beside signatures: checked when it is saved, not when the first callback fails."""

from relay.api.certificates import client_certificate
from relay.api.schemas.endpoints import BasicAuthIn, BearerIn, ClientCertificateIn, OAuth2In
from relay.domain.addresses import EgressPolicy
from relay.domain.model import BasicAuth, Bearer, ClientCertificate, EndpointAuth, OAuth2
from relay.outbound.targets import vet_url


def checked_auth(auth: BasicAuthIn | BearerIn | OAuth2In | None, policy: EgressPolicy) -> EndpointAuth | None:
    """Credentials that callbacks can carry; tokens are asked for where callbacks may go. Raises Invalid."""
    match auth:
        case BasicAuthIn():
            return BasicAuth(auth.username, auth.password)
        case BearerIn():
            return Bearer(auth.token)
        case OAuth2In():
            vet_url(auth.token_url, policy, path=("body", "auth", "tokenUrl"))
            return OAuth2(
                token_url=auth.token_url,
                client_id=auth.client_id,
                client_secret=auth.client_secret,
                scope=auth.scope,
                token_auth=auth.token_auth,
            )
    return None


def checked_certificate(pair: ClientCertificateIn | None) -> ClientCertificate | None:
    """A certificate with its key, which the client that sends callbacks can show. Raises Invalid."""
    if pair is None:
        return None
    return client_certificate(pair.certificate, pair.private_key, path=("body", "clientCertificate"))
