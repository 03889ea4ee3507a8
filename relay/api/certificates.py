"""Client certificates (mTLS). The API checks a pair when it is saved, so that the first callback does not fail."""

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from relay.domain.credentials import Algorithm
from relay.domain.model import ClientCertificate
from relay.errors import Fault, Invalid
from relay.outbound.http.tls import check_identity

RSA_BITS_MIN = 2048
CURVES = ("secp256r1", "secp384r1", "secp521r1")
KINDS = "RSA with 2048 bits or more, ECDSA on P-256, P-384 or P-521, or Ed25519"


def client_certificate(certificate: str, private_key: str, *, path: tuple[str | int, ...]) -> ClientCertificate:
    """A certificate with its private key, which the HTTP client can load. Raises Invalid."""
    at_certificate, at_key = (*path, "certificate"), (*path, "privateKey")
    first, private = _certificate(certificate), _private_key(private_key)
    faults = []
    if first is None:
        faults.append(Fault(at_certificate, "must be one or more certificates in PEM"))
    if private is None:
        faults.append(Fault(at_key, "must be a private key in PEM, not encrypted"))
    if first is None or private is None:
        raise Invalid(*faults)
    if private.public_key() != first.public_key():
        raise Invalid(Fault(at_key, "is not the key of the first certificate in `certificate`"))
    identity = ClientCertificate(certificate=certificate, private_key=private_key)
    if not _has_usable_type(private):
        raise Invalid(Fault(at_key, f"has a type that the relay cannot use: it must be {KINDS}"))
    try:
        check_identity(identity)
    except ValueError:
        raise Invalid(Fault(at_certificate, "and its key cannot be used for TLS")) from None
    return identity


def signing_key(pem: str, algorithm: Algorithm, *, path: tuple[str | int, ...]) -> None:
    """Raise Invalid unless a text is a private key that signs JWTs."""
    key = _private_key(pem)
    if key is None:
        raise Invalid(Fault(path, "must be a private key in PEM, not encrypted"))
    if algorithm == "RS256" and not (isinstance(key, RSAPrivateKey) and key.key_size >= RSA_BITS_MIN):
        raise Invalid(Fault(path, "must be an RSA key with 2048 bits or more, for `RS256`"))
    if algorithm == "ES256" and not (isinstance(key, EllipticCurvePrivateKey) and key.curve.name == CURVES[0]):
        raise Invalid(Fault(path, "must be an ECDSA key on P-256, for `ES256`"))


def _has_usable_type(key: PrivateKeyTypes) -> bool:
    """Whether TLS has signatures for a type of key. OpenSSL also loads other types, and then fails in handshakes."""
    match key:
        case RSAPrivateKey():
            return key.key_size >= RSA_BITS_MIN
        case EllipticCurvePrivateKey():
            return key.curve.name in CURVES
    return isinstance(key, Ed25519PrivateKey)


def _certificate(pem: str) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificates(pem.encode())[0]
    except ValueError:
        return None


def _private_key(pem: str) -> PrivateKeyTypes | None:
    try:
        return load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):
        return None
