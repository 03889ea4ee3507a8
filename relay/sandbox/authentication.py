"""Who may ask: Basic credentials for v2, an ApiKey for v2.1, each only for its own version (infinity-api.md 1)."""

import base64
import binascii
from hmac import compare_digest
from typing import Literal, get_args

from relay.sandbox.config import SandboxConfig
from relay.sandbox.refusals import Refusal

Version = Literal["v2", "v2.1"]


def admit(authorization: str | None, *, version: str, igrp: str, config: SandboxConfig) -> None:
    """Let a request pass, or raise Refusal: 401 without valid credentials, 403 for another's installation.

    That a wrong key is a 401, as no key is, and that an unknown installation is a 403 are guesses.
    """
    if version not in get_args(Version):
        raise Refusal("not found", status=404)
    scheme, _, credentials = (authorization or "").partition(" ")
    known = _is_key(scheme, credentials, config) if version == "v2.1" else _is_user(scheme, credentials, config)
    if not known:
        wanted = "ApiKey" if version == "v2.1" else 'Basic realm="reports"'
        raise Refusal("auth required", status=401, headers={"WWW-Authenticate": wanted})
    if igrp != str(config.igrp):
        raise Refusal("access denied", status=403)


def _is_key(scheme: str, credentials: str, config: SandboxConfig) -> bool:
    return scheme.lower() == "apikey" and compare_digest(credentials.strip().encode(), config.api_key.encode())


def _is_user(scheme: str, credentials: str, config: SandboxConfig) -> bool:
    if scheme.lower() != "basic":
        return False
    try:
        given = base64.b64decode(credentials.strip(), validate=True)
    except binascii.Error:
        return False
    return compare_digest(given, f"{config.username}:{config.password}".encode())
