"""What an endpoint's server is shown beside signatures: checked when it is saved, not when the first callback fails."""

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from relay.api.schemas.endpoints import BasicAuthIn, BearerIn, ClientCertificateIn, OAuth2In
from relay.domain.addresses import EgressPolicy
from relay.domain.model import BasicAuth, Bearer, ClientCertificate, EndpointAuth, OAuth2
from relay.errors import Fault, Invalid
from relay.outbound.clients import ClientOptions, build_client
from relay.outbound.targets import vet_url

CERTIFICATE = ("body", "clientCertificate", "certificate")
PRIVATE_KEY = ("body", "clientCertificate", "privateKey")


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
            )
    return None


def checked_certificate(pair: ClientCertificateIn | None) -> ClientCertificate | None:
    """A certificate with its key, which the client that sends callbacks can show. Raises Invalid."""
    if pair is None:
        return None
    try:
        first = x509.load_pem_x509_certificates(pair.certificate.encode())[0]
    except ValueError:
        raise Invalid(Fault(CERTIFICATE, "must be one or more certificates in PEM")) from None
    try:
        private = load_pem_private_key(pair.private_key.encode(), password=None)
    except (ValueError, TypeError):
        raise Invalid(Fault(PRIVATE_KEY, "must be a private key in PEM, not encrypted")) from None
    if private.public_key() != first.public_key():
        raise Invalid(Fault(PRIVATE_KEY, "is not the key of the first certificate"))
    identity = ClientCertificate(certificate=pair.certificate, private_key=pair.private_key)
    try:
        build_client(ClientOptions(), identity=identity)
    except ValueError:
        kinds = "RSA with 2048 bits or more, ECDSA on P-256, P-384 or P-521, or Ed25519"
        raise Invalid(Fault(PRIVATE_KEY, f"is of a kind that can't be used: it must be {kinds}")) from None
    return identity
