"""Sends callbacks: an endpoint is prepared once, each event signed and posted, and the result is an outcome."""

import asyncio
from time import perf_counter

import httpx
import msgspec

from relay.domain.addresses import EgressPolicy
from relay.domain.credentials import Granted
from relay.domain.model import Endpoint, EndpointId
from relay.domain.outcomes import Failure, Outcome
from relay.domain.requests.model import LookupMethod, Method
from relay.domain.requests.ruling import READ_BYTES, Answer, rule_on
from relay.errors import Fault, Invalid
from relay.outbound.authentication import with_key
from relay.outbound.base_urls import moved_to
from relay.outbound.callback_answers import KEPT_BODY_BYTES, START_BYTES, Header, kept_headers, read_start, without
from relay.outbound.failures import EgressError
from relay.outbound.http.answer import BODY_CAP_BYTES
from relay.outbound.http.messages import WireRequest, WireResponse, header_list
from relay.outbound.http.request import Preamble
from relay.outbound.http.timings import NO_TIMINGS
from relay.outbound.preparing import PreparedEndpoint, Ready, Unfit, prepare
from relay.outbound.targets import Target, vet_url
from relay.outbound.tokens.getting import TokenGetter
from relay.outbound.tokens.keeping import Keeper
from relay.outbound.tokens.model import Token, TokenRefused, Why

REFUSED: dict[Why, Failure] = {"failed": Failure.AUTH, "final": Failure.CREDENTIALS, "ours": Failure.LOCAL}
MAX_PREPARED = 20_000
"""Prepared endpoints kept; with more, the oldest go first."""


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """One request to an endpoint."""

    message_id: str
    body: bytes
    timestamp_s: int
    """The time of this attempt."""
    traceparent: str = ""
    """A header's value, or empty."""
    method: Method = "POST"
    url: str = ""
    """The endpoint's URL with its placeholders filled, or another one of the same origin; empty: the URL as it is."""


class CallbackSender:
    """Posts signed callbacks through a guarded transport. `user_agent` is the header's value."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        *,
        policy: EgressPolicy,
        user_agent: str,
        keeper: Keeper | None = None,
    ) -> None:
        """`keeper` keeps the tokens that workers have in common; None: this sender has its own."""
        self._transport = transport
        self._policy = policy
        self._tokens = TokenGetter(transport, keeper)
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
        prepared = prepare(endpoint, self._policy, self._common)
        self._prepared.pop(endpoint.id, None)
        self._prepared[endpoint.id] = prepared
        if len(self._prepared) > MAX_PREPARED:
            del self._prepared[next(iter(self._prepared))]
        return prepared

    async def send(self, prepared: PreparedEndpoint, callback: Callback, *, deadline_s: float) -> Outcome:
        """Sign and send one event. Raises nothing that a receiver, its DNS or its TLS can cause.

        `deadline_s` bounds everything from the first lookup to the last byte read.
        """
        if isinstance(prepared, Unfit):
            return prepared.outcome
        assert isinstance(prepared, Ready)  # noqa: S101 - prepare() makes no third kind
        sending = _Sending(self._transport, prepared, deadline_s, now_ms=callback.timestamp_s * 1000)
        if callback.url and (refusal := self._lead(sending, callback.method, callback.url)) is not None:
            return refusal
        message_id, body = callback.message_id, callback.body
        signature = prepared.signer.sign(message_id, callback.timestamp_s, body, now_ms=callback.timestamp_s * 1000)
        headers = [
            ("webhook-id", message_id),
            ("webhook-timestamp", str(callback.timestamp_s)),
            ("webhook-signature", signature),
            ("idempotency-key", message_id),
        ]
        # A subscriber's own header is part of the endpoint.
        if callback.traceparent and not any(name.lower() == "traceparent" for name in prepared.endpoint.headers):
            headers.append(("traceparent", callback.traceparent))
        return await self._send(sending, prepared.granted, headers, body)

    async def ask(
        self, prepared: PreparedEndpoint, method: LookupMethod, url: str, body: bytes, *, now_ms: int, deadline_s: float
    ) -> Outcome:
        """Send a request that is no callback to the endpoint's server, with the endpoint's headers and credentials.

        The outcome has the `answer`. Raises nothing that a receiver can cause, like `send`.
        """
        if isinstance(prepared, Unfit):
            return prepared.outcome
        assert isinstance(prepared, Ready)  # noqa: S101 - prepare() makes no third kind
        sending = _Sending(self._transport, prepared, deadline_s, now_ms=now_ms, reads_answer=True)
        refusal = self._lead(sending, method, url)
        return await self._send(sending, prepared.granted, [], body) if refusal is None else refusal

    def _lead(self, sending: "_Sending", method: str, url: str) -> Outcome | None:
        """Send to another path of the endpoint's server. Gives the outcome if that is refused."""
        try:
            sending.lead_to(method, vet_url(with_key(url, sending.endpoint.auth), self._policy))
        except Invalid as error:
            return Outcome(error=Failure.REFUSED_ADDRESS, detail=error.faults[0].message)
        return None

    async def aclose(self) -> None:
        """Let requests for tokens end. Call it before the transport is closed."""
        await self._tokens.aclose()

    async def _send(self, sending: "_Sending", auth: Granted | None, headers: list[Header], body: bytes) -> Outcome:
        if auth is None:
            return await sending.send(headers, body)
        return await self._send_with_token(sending, auth, headers, body)

    async def _send_with_token(self, sending: "_Sending", auth: Granted, headers: list[Header], body: bytes) -> Outcome:
        """A 401, or what a rule says, may mean that the token was revoked: once, try a new one."""
        outcome, token = Outcome(), Token("")
        for _ in range(2):
            try:
                async with asyncio.timeout(sending.left_s()):
                    token = await self._tokens.get(sending.endpoint.id, auth)
                if token.base_url:
                    sending.move(moved_to(sending.target, token.base_url, auth, self._policy))
            except TokenRefused as error:
                return Outcome(error=REFUSED[error.why], detail=str(error), duration_ms=sending.took_ms())
            except TimeoutError:
                detail = "the authorization server did not answer in time"
                return Outcome(error=Failure.AUTH, detail=detail, duration_ms=sending.took_ms())
            outcome = await sending.send([*headers, ("authorization", token.authorization)], body)
            if not _refuses_token(outcome) or not self._tokens.refuse(auth, token):
                break
        return without(outcome, [token.authorization.partition(" ")[2]])


class _Sending:
    """One attempt: where it goes, and how long it may take."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        prepared: Ready,
        deadline_s: float,
        *,
        now_ms: int,
        reads_answer: bool = False,
    ) -> None:
        self._transport, self._prepared = transport, prepared
        self._started, self._deadline_s, self._now_ms = perf_counter(), deadline_s, now_ms
        self._reads_answer = reads_answer or prepared.endpoint.request.reads_answers
        self._method: str = prepared.endpoint.request.method
        self.target, self._preamble = prepared.target, prepared.preamble
        self.endpoint = prepared.endpoint

    def lead_to(self, method: str, target: Target) -> None:
        """Send to another path of the same server. Raises Invalid."""
        if target.key != self._prepared.target.key:
            raise Invalid(Fault(("url",), "its placeholders lead to another server"))
        self._method = method
        self.move(target)

    def move(self, target: Target) -> None:
        """Send to another server."""
        self.target = target
        self._preamble = Preamble(self._method, target.path, target.authority, self._prepared.preamble.headers)

    def left_s(self) -> float:
        """How long it may still take."""
        return self._deadline_s - (perf_counter() - self._started)

    def took_ms(self) -> int:
        """How long it has taken."""
        return round((perf_counter() - self._started) * 1000)

    async def send(self, headers: list[Header], body: bytes) -> Outcome:
        """Send it once."""
        request = WireRequest(
            self._method,
            self.target,
            headers=headers,
            body=body,
            deadline_s=self.left_s(),
            identity=self._prepared.endpoint.client_certificate,
            preamble=self._preamble,
            kept_bytes=READ_BYTES if self._reads_answer else BODY_CAP_BYTES,
        )
        try:
            response = await self._transport.handle_async_request(request)
            read, detail = b"", ""
            if not (isinstance(response, WireResponse) and response.answer.whole_body() == b""):
                read, detail = await read_start(response, READ_BYTES if self._reads_answer else START_BYTES)
        except EgressError as error:
            return self._failed(error)
        except httpx.TimeoutException:
            return Outcome(error=Failure.TIMEOUT, detail="no answer came in time", duration_ms=self.took_ms())
        except httpx.TransportError:
            return Outcome(error=Failure.CONNECT, detail="the connection failed", duration_ms=self.took_ms())
        return self._outcome(response, read, detail)

    def _outcome(self, response: httpx.Response, read: bytes, detail: str) -> Outcome:
        status, timings = response.status_code, response.extensions.get("timings", NO_TIMINGS)
        echoes, headers, rules = self._prepared.echoes, header_list(response), self._prepared.endpoint.request.verdicts
        ruling = rule_on(rules, Answer(status, dict(headers), read), now_ms=self._now_ms) if rules else None
        return Outcome(
            status=status,
            detail=detail,
            duration_ms=self.took_ms(),
            headers=kept_headers(headers, echoes),
            body=echoes.hide(read[:START_BYTES], most=KEPT_BODY_BYTES) if read else b"",
            connect_ms=round(timings.connect * 1000),
            tls_ms=round(timings.tls * 1000),
            head_ms=round(timings.head * 1000),
            # Of a success nothing is waited for, and httpx's headers cost more than signing.
            retry_after=None if 200 <= status < 300 else response.headers.get("retry-after"),
            ruling=ruling,
            answer=read if self._reads_answer else b"",
        )

    def _failed(self, error: EgressError) -> Outcome:
        return Outcome(
            error=error.failure,
            detail=str(error),
            duration_ms=self.took_ms(),
            connect_ms=round(error.timings.connect * 1000),
            tls_ms=round(error.timings.tls * 1000),
        )


def _refuses_token(outcome: Outcome) -> bool:
    if outcome.ruling is not None:
        return outcome.ruling.verdict == "renewToken"
    return outcome.status == 401
