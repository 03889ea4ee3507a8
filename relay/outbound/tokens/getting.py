"""Gets access tokens, one request at a time for the same credentials, and replaces them before they end."""

import asyncio
import time
from collections.abc import Callable

import httpx
import structlog

from relay.domain.credentials import Granted, OAuth2, RefreshToken, TokenAuth
from relay.domain.model import EndpointId
from relay.errors import RelayError
from relay.outbound.egress import READ_CAP_BYTES
from relay.outbound.tokens.answers import issued
from relay.outbound.tokens.keeping import Alone, Keeper
from relay.outbound.tokens.model import Issued, Token, TokenRefused
from relay.outbound.tokens.requests import TOKEN_DEADLINE_S, token_request

FAILURE_KEPT_S = 3.0
"""How long nothing is asked after a failure: an authorization server that is down gets no storm."""
REFUSED_AGAIN_S = 60.0
"""How long a token is used that replaced a refused one, though it is refused, too. Servers limit how many they give."""
NOT_THIS_WAY = frozenset({400, 401, 403})
"""An authorization server that wants the credentials in another place says so by one of these."""
MAX_TOKENS = 10_000
ANOTHER_WAIT_S = 30.0
"""How long another worker may take."""
LOOK_AGAIN_S = 0.1
STORED_WITHIN_S = 300.0
"""How long a new refresh token is offered to a store that does not take it. After that, it is lost."""
ENDS_WITHIN_S = 2 * TOKEN_DEADLINE_S + 5
"""How long requests may take that are under way when the process ends: a new refresh token must be kept."""

log = structlog.get_logger()


class TokenGetter:
    """Access tokens, kept until about to end. The token URL goes through the same guarded transport as callbacks."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        keeper: Keeper | None = None,
        *,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._transport, self._keeper = transport, keeper or Alone()
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._tokens: dict[str, tuple[Token | TokenRefused, float]] = {}
        """What was given last, and until when it holds."""
        self._running: dict[str, asyncio.Task[Token]] = {}
        self._refused: dict[str, tuple[Token, float]] = {}
        """The token that an endpoint refused last, and when."""
        self._ways: dict[str, TokenAuth] = {}
        """Where the credentials of those worked that have no setting for it."""

    async def get(self, endpoint: EndpointId, auth: Granted) -> Token:
        """A token for an endpoint's credentials. Raises TokenRefused."""
        name = self._keeper.name_of(auth)
        known, until = self._tokens.get(name, (None, 0.0))
        if known is None or self._clock() >= until:
            return await asyncio.shield(self._start(endpoint, auth, name))
        if isinstance(known, TokenRefused):
            raise known.with_traceback(None)
        return known

    def refuse(self, auth: Granted, token: Token) -> bool:
        """Note that an endpoint refused a token. False: the one after it would be refused as well."""
        name, now = self._keeper.name_of(auth), self._clock()
        known, _ = self._tokens.get(name, (None, 0.0))
        if known is not None and known != token:
            return True
        refused, at = self._refused.get(name, (None, 0.0))
        if known is None and refused == token:
            # Another attempt had it refused, and a new one is on its way.
            return True
        if refused is not None and now - at < REFUSED_AGAIN_S:
            return False
        self._tokens.pop(name, None)
        _keep(self._refused, name, (token, now))
        return True

    async def aclose(self) -> None:
        """Let requests for tokens end that are under way."""
        if running := list(self._running.values()):
            await asyncio.wait(running, timeout=ENDS_WITHIN_S)

    def _start(self, endpoint: EndpointId, auth: Granted, name: str) -> asyncio.Task[Token]:
        if (task := self._running.get(name)) is None:
            task = self._running[name] = asyncio.create_task(self._get(endpoint, auth, name), name="token")
            task.add_done_callback(lambda done: self._ended(name, done))
        return task

    def _ended(self, name: str, task: asyncio.Task[Token]) -> None:
        self._running.pop(name, None)
        if not task.cancelled() and isinstance(error := task.exception(), TokenRefused):
            _keep(self._tokens, name, (error, self._clock() + FAILURE_KEPT_S))

    async def _get(self, endpoint: EndpointId, auth: Granted, name: str) -> Token:
        """The token that another worker got, or a new one."""
        try:
            holder = await self._turn(name)
        except RelayError:
            if isinstance(auth, RefreshToken):
                raise TokenRefused("the store does not answer, so no token can be had", "ours") from None
            return self._fresh(name, await self._ask(auth, name))
        if isinstance(holder, Token):
            return holder
        try:
            return await self._renew(endpoint, auth, name)
        finally:
            await self._quietly(self._keeper.unlock(name, holder))

    async def _turn(self, name: str) -> str | Token:
        """The right to get a token, or the token that another worker got before. Raises RelayError."""
        ends = self._clock() + ANOTHER_WAIT_S
        while True:
            if (token := await self._shared(name)) is not None:
                return token
            if (holder := await self._keeper.lock(name)) is not None:
                # Another worker may have had it in between.
                if (token := await self._shared(name)) is None:
                    return holder
                await self._quietly(self._keeper.unlock(name, holder))
                return token
            if self._clock() >= ends:
                raise TokenRefused("another worker is getting a token, and has not ended", "ours")
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _shared(self, name: str) -> Token | None:
        found = await self._keeper.find(name)
        refused, _ = self._refused.get(name, (None, 0.0))
        if found is None or found[0] == refused:
            return None
        _keep(self._tokens, name, (found[0], self._clock() + found[1]))
        return found[0]

    async def _renew(self, endpoint: EndpointId, auth: Granted, name: str) -> Token:
        if isinstance(auth, RefreshToken):
            return self._fresh(name, await self._refresh(endpoint, auth, name))
        given = await self._ask(auth, name)
        await self._quietly(self._keeper.share(name, given.token, fresh_s=given.fresh_s))
        return self._fresh(name, given)

    async def _refresh(self, endpoint: EndpointId, auth: RefreshToken, name: str) -> Issued:
        """Use the newest refresh token. The one that replaces it is stored before anything else is done."""
        newest = await self._newest(endpoint, auth)
        try:
            given = await self._ask(newest, name)
        except TokenRefused as refused:
            if refused.why == "final" and await self._newest(endpoint, auth) != newest:
                raise TokenRefused("the refresh token was replaced in between", "ours") from None
            raise
        if given.refresh_token is not None:
            await self._store(endpoint, newest, given.refresh_token)
        await self._quietly(self._keeper.share(name, given.token, fresh_s=given.fresh_s))
        return given

    async def _newest(self, endpoint: EndpointId, auth: RefreshToken) -> RefreshToken:
        try:
            newest = await self._keeper.newest(endpoint, auth)
        except RelayError:
            raise TokenRefused("the store does not answer, so no token can be had", "ours") from None
        if newest is None:
            raise TokenRefused("the credentials of the endpoint were just replaced", "ours")
        return newest

    async def _store(self, endpoint: EndpointId, used: RefreshToken, new: str) -> None:
        ends, pause_s = self._clock() + STORED_WITHIN_S, LOOK_AGAIN_S
        while True:
            try:
                stored = await self._keeper.rotate(endpoint, used, new)
            except RelayError as error:
                if self._clock() >= ends:
                    log.error("refresh_token_lost", endpoint=endpoint, error=str(error))
                    raise TokenRefused("the new refresh token could not be stored", "ours") from None
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, 2.0)
            else:
                if not stored:
                    raise TokenRefused("the credentials of the endpoint were just replaced", "ours")
                return

    def _fresh(self, name: str, given: Issued) -> Token:
        _keep(self._tokens, name, (given.token, self._clock() + given.fresh_s))
        return given.token

    async def _ask(self, auth: Granted, name: str) -> Issued:
        """Ask in the way that is set or worked before; else by Basic, and then in the body if that is refused."""
        if not isinstance(auth, OAuth2 | RefreshToken):
            return await self._ask_once(auth, "body")
        ways: list[TokenAuth] = [auth.token_auth or self._ways.get(name, "basic")]
        if auth.token_auth is None:
            ways.append("body" if ways[0] == "basic" else "basic")
        first: TokenRefused | None = None
        for way in ways:
            try:
                given = await self._ask_once(auth, way)
            except TokenRefused as refused:
                if refused.status not in NOT_THIS_WAY or "invalid_grant" in str(refused) or way == ways[-1]:
                    raise refused if first is None or refused.why == "final" else first from None
                first = TokenRefused(str(refused), status=refused.status)
            else:
                _keep(self._ways, name, way)
                return given
        raise AssertionError("there is one way at least")

    async def _ask_once(self, auth: Granted, way: TokenAuth) -> Issued:
        asked_at = self._clock()
        request = token_request(auth, way, now_s=int(time.time()))
        try:
            async with asyncio.timeout(TOKEN_DEADLINE_S + 1):
                response = await self._transport.handle_async_request(request)
                try:
                    body = await _read(response)
                finally:
                    await response.stream.aclose()  # type: ignore[union-attr]
        except httpx.TransportError as error:
            raise TokenRefused(f"the authorization server could not be asked: {error}") from None
        except TimeoutError:
            raise TokenRefused("the authorization server did not answer in time") from None
        given = issued(auth, response.status_code, body)
        return Issued(given.token, max(0.5, given.fresh_s - (self._clock() - asked_at)), given.refresh_token)

    async def _quietly(self, doing: object) -> None:
        """What other workers have of it is not worth an attempt."""
        try:
            await doing  # type: ignore[misc]
        except RelayError as error:
            log.debug("token_not_shared", error=str(error))


def _keep(kept: dict, name: str, value: object) -> None:  # type: ignore[type-arg]
    kept.pop(name, None)
    kept[name] = value
    if len(kept) > MAX_TOKENS:
        del kept[next(iter(kept))]


async def _read(response: httpx.Response) -> bytes:
    body = b""
    async for chunk in response.stream:  # type: ignore[union-attr]
        body += chunk
        if len(body) >= READ_CAP_BYTES:
            break
    return body
