"""Sends callbacks: an endpoint is prepared once, each event signed and posted, and the result is an outcome."""

import asyncio
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter
from typing import cast

import httpx
import msgspec

from relay.domain.addresses import EgressPolicy
from relay.domain.echoes import Echoes
from relay.domain.headers import RESERVED, check_headers, is_sensitive
from relay.domain.model import BasicAuth, Bearer, Endpoint, EndpointId, OAuth2
from relay.domain.outcomes import Failure, Outcome
from relay.domain.signing import Signer
from relay.errors import Invalid
from relay.outbound.authentication import TokenRefused, Tokens, fixed_authorization
from relay.outbound.failures import EgressError
from relay.outbound.http.messages import WireRequest, WireResponse, header_list
from relay.outbound.http.request import Preamble
from relay.outbound.http.timings import NO_TIMINGS
from relay.outbound.targets import Target, vet_url

MAX_PREPARED = 20_000
"""Prepared endpoints kept; with more, the oldest go first."""

KEPT_BODY_BYTES = 1024
READ_BEYOND = 12_288
"""So that no secret that begins in what is kept is cut in two: the longest token, in its longest spelling."""
COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
"""How gzip and zstd begin."""
KEPT_HEADERS = 32
KEPT_HEADER_CHARS = 2048

Header = tuple[str, str]


@dataclass(frozen=True, eq=False, repr=False)
class PreparedEndpoint:
    """An endpoint, made ready for callbacks or found to be unfit for them."""

    endpoint: Endpoint


@dataclass(frozen=True, eq=False, repr=False)
class _Ready(PreparedEndpoint):
    """Everything that is the same for each callback."""

    target: Target
    preamble: Preamble
    signer: Signer
    oauth: OAuth2 | None

    @cached_property
    def echoes(self) -> Echoes:
        """What of its own secrets must not be kept; made when a receiver first sends something back."""
        return Echoes(_secrets(self.endpoint))


@dataclass(frozen=True, eq=False, repr=False)
class _Unfit(PreparedEndpoint):
    """It was fine when it was saved; the operator's policy, or the rules for keys and headers, changed since."""

    outcome: Outcome


class CallbackSender:
    """Posts signed callbacks through a guarded transport. `user_agent` is the header's value."""

    def __init__(self, transport: httpx.AsyncBaseTransport, *, policy: EgressPolicy, user_agent: str) -> None:
        self._transport = transport
        self._policy = policy
        self._tokens = Tokens(transport)
        self._common: tuple[Header, ...] = (
            ("content-type", "application/json"),
            ("user-agent", user_agent),
            ("accept-encoding", "identity"),
        )
        self._prepared: dict[EndpointId, PreparedEndpoint] = {}

    def prepare(self, endpoint: Endpoint) -> PreparedEndpoint:
        """Vet, decode and encode what is the same for each callback. Cached until the endpoint changes."""
        known = self._prepared.get(endpoint.id)
        if known is not None and (known.endpoint is endpoint or known.endpoint == endpoint):
            return known
        prepared = self._prepare(endpoint)
        self._prepared.pop(endpoint.id, None)
        self._prepared[endpoint.id] = prepared
        if len(self._prepared) > MAX_PREPARED:
            del self._prepared[next(iter(self._prepared))]
        return prepared

    async def send(
        self,
        prepared: PreparedEndpoint,
        *,
        message_id: str,
        body: bytes,
        timestamp_s: int,
        deadline_s: float,
        traceparent: str = "",
    ) -> Outcome:
        """Sign and post one event. Raises nothing that a receiver, its DNS or its TLS can cause.

        `timestamp_s` is the time of this attempt; `deadline_s` bounds everything from the first lookup to the last
        byte read; `traceparent` is a header's value, or empty.
        """
        if isinstance(prepared, _Unfit):
            return prepared.outcome
        assert isinstance(prepared, _Ready)  # noqa: S101 - prepare() makes no third kind
        started = perf_counter()
        signature = prepared.signer.sign(message_id, timestamp_s, body, now_ms=timestamp_s * 1000)
        headers = [
            ("webhook-id", message_id),
            ("webhook-timestamp", str(timestamp_s)),
            ("webhook-signature", signature),
            ("idempotency-key", message_id),
        ]
        # A subscriber's own header is part of the endpoint.
        if traceparent and not any(name.lower() == "traceparent" for name in prepared.endpoint.headers):
            headers.append(("traceparent", traceparent))
        if prepared.oauth is None:
            return await self._post(prepared, headers, body, started, deadline_s)
        return await self._post_with_token(prepared, prepared.oauth, headers, body, started, deadline_s)

    def _prepare(self, endpoint: Endpoint) -> PreparedEndpoint:
        failure = Failure.REFUSED_ADDRESS
        try:
            target = vet_url(endpoint.url, self._policy)
            failure = Failure.UNFIT
            headers = _own_headers(endpoint)
            check_headers(dict(headers))
            signer = Signer(endpoint.keys)
            preamble = Preamble("POST", target.path, target.authority, (*self._common, *headers))
        except Invalid as error:
            return _Unfit(endpoint, Outcome(error=failure, detail=error.faults[0].message))
        return _Ready(
            endpoint=endpoint,
            target=target,
            preamble=preamble,
            signer=signer,
            oauth=endpoint.auth if isinstance(endpoint.auth, OAuth2) else None,
        )

    async def _post(
        self, prepared: _Ready, headers: list[Header], body: bytes, started: float, deadline_s: float
    ) -> Outcome:
        request = WireRequest(
            "POST",
            prepared.target,
            headers=headers,
            body=body,
            deadline_s=deadline_s,
            identity=prepared.endpoint.client_certificate,
            preamble=prepared.preamble,
        )
        try:
            response = await self._transport.handle_async_request(request)
            start, detail = b"", ""
            if not (isinstance(response, WireResponse) and response.answer.whole_body() == b""):
                start, detail = await _read_start(response)
        except EgressError as error:
            return _failed(error, started)
        except httpx.TimeoutException:
            return Outcome(error=Failure.TIMEOUT, detail="no answer came in time", duration_ms=_since_ms(started))
        except httpx.TransportError:
            return Outcome(error=Failure.CONNECT, detail="the connection failed", duration_ms=_since_ms(started))
        status, timings = response.status_code, response.extensions.get("timings", NO_TIMINGS)
        return Outcome(
            status=status,
            detail=detail,
            duration_ms=_since_ms(started),
            headers=_kept(header_list(response), prepared),
            body=prepared.echoes.hide(start, most=KEPT_BODY_BYTES) if start else b"",
            connect_ms=round(timings.connect * 1000),
            tls_ms=round(timings.tls * 1000),
            head_ms=round(timings.head * 1000),
            # Of a success nothing is waited for, and httpx's headers cost more than signing.
            retry_after=None if 200 <= status < 300 else response.headers.get("retry-after"),
        )

    async def _post_with_token(
        self,
        prepared: _Ready,
        auth: OAuth2,
        headers: list[Header],
        body: bytes,
        started: float,
        deadline_s: float,
    ) -> Outcome:
        """A 401 may mean that the token was revoked: once, try a new one."""
        outcome, authorization = Outcome(), ""
        for _ in range(2):
            try:
                async with asyncio.timeout(deadline_s - (perf_counter() - started)):
                    authorization = await self._tokens.authorization(auth)
            except TokenRefused as error:
                return Outcome(error=Failure.AUTH, detail=str(error), duration_ms=_since_ms(started))
            except TimeoutError:
                detail = "the authorization server did not answer in time"
                return Outcome(error=Failure.AUTH, detail=detail, duration_ms=_since_ms(started))
            signed = [*headers, ("authorization", authorization)]
            outcome = await self._post(prepared, signed, body, started, deadline_s - (perf_counter() - started))
            if outcome.status != 401:
                break
            self._tokens.discard(auth, authorization)
        return _without(outcome, authorization)


def _failed(error: EgressError, started: float) -> Outcome:
    return Outcome(
        error=error.failure,
        detail=str(error),
        duration_ms=_since_ms(started),
        connect_ms=round(error.timings.connect * 1000),
        tls_ms=round(error.timings.tls * 1000),
    )


def _without(outcome: Outcome, authorization: str) -> Outcome:
    """An outcome in which the receiver does not show the token that it was sent."""
    if not outcome.body and not outcome.headers:
        return outcome
    echoes = Echoes([authorization.partition(" ")[2]])
    headers = tuple((name, echoes.hide(value.encode()).decode("utf-8", "replace")) for name, value in outcome.headers)
    return msgspec.structs.replace(outcome, body=echoes.hide(outcome.body), headers=headers)


def _own_headers(endpoint: Endpoint) -> list[Header]:
    """The subscriber's headers: they never replace the relay's, and `auth` outranks an `authorization` of theirs."""
    authorization = fixed_authorization(endpoint.auth)
    taken = RESERVED | {"authorization"} if endpoint.auth is not None else RESERVED
    headers = [(name.lower(), value) for name, value in endpoint.headers.items() if name.lower() not in taken]
    if authorization is not None:
        headers.append(("authorization", authorization))
    return headers


async def _read_start(response: httpx.Response) -> tuple[bytes, str]:
    """How the body starts, and some more than is kept. One that breaks off changes nothing about the status."""
    stream = cast(httpx.AsyncByteStream, response.stream)
    start, wanted, detail = b"", KEPT_BODY_BYTES + READ_BEYOND, ""
    try:
        async for chunk in stream:
            if len(start) < wanted:
                start += chunk[: wanted - len(start)]
    except httpx.TransportError:
        detail = "the answer's body broke off"
    finally:
        await stream.aclose()
    if start and _is_compressed(response, start):
        # Nobody can read it without inflating it, and what is in it can't be hidden.
        return b"", detail or "the answer's body is compressed, which was not asked for"
    return start, detail


def _is_compressed(response: httpx.Response, start: bytes) -> bool:
    if start.startswith(COMPRESSED):
        return True
    # Of a success nothing is waited for, and httpx's headers cost more than signing.
    return not response.is_success and response.headers.get("content-encoding", "identity") != "identity"


def _secrets(endpoint: Endpoint) -> list[str]:
    """What the endpoint's owner gave in confidence, and the relay sends: a receiver may show it to others."""
    secrets = [value for name, value in endpoint.headers.items() if is_sensitive(name)]
    secrets += [word for value in secrets for word in value.split()[1:]]
    secrets += [key.key for key in endpoint.keys]
    match endpoint.auth:
        case BasicAuth(username, password):
            secrets += [password, f"{username}:{password}"]
        case Bearer(token):
            secrets.append(token)
        case OAuth2(client_secret=secret):
            secrets.append(secret)
    return secrets


def _kept(headers: list[Header], prepared: _Ready) -> tuple[tuple[str, str], ...]:
    if prepared.echoes.may_hold("\n".join([value for _, value in headers]).encode()):
        headers = [(name, prepared.echoes.hide(value.encode()).decode("utf-8", "replace")) for name, value in headers]
    if len(headers) <= KEPT_HEADERS and sum([len(name) + len(value) for name, value in headers]) <= KEPT_HEADER_CHARS:
        return tuple(headers)
    kept, left = [], KEPT_HEADER_CHARS
    for name, value in headers[:KEPT_HEADERS]:
        left -= len(name) + len(value)
        if left < 0:
            break
        kept.append((name, value))
    return tuple(kept)


def _since_ms(started: float) -> int:
    return round((perf_counter() - started) * 1000)
