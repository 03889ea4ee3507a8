"""TLS contexts: who is trusted, which client certificate is shown, and sessions that are resumed."""

import asyncio
import os
import ssl
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import certifi

from relay.domain.model import ClientCertificate

MAX_IDENTITIES = 256
"""Contexts of endpoints with a certificate of their own; with more, the least recently used go first."""
MAX_SESSIONS = 4_096
"""Sessions kept by each context."""


class ResumingContext(ssl.SSLContext):
    """A client's context that resumes the last session with each name.

    asyncio has no parameter for a session, but asks its context to wrap each connection. A session was verified for
    its name, with this context's roots and certificate, and is used for nothing else.
    """

    def __init__(self, *_: Any) -> None:
        self._sessions: OrderedDict[str, ssl.SSLSession] = OrderedDict()

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Wrap a connection, with the session of its name if there is one."""
        known = self._sessions.get(server_hostname) if isinstance(server_hostname, str) else None
        return super().wrap_bio(incoming, outgoing, server_side, server_hostname, session or known)

    def remember(self, name: str, session: ssl.SSLSession | None) -> None:
        """Keep the session that a connection has by now."""
        if session is None or not session.has_ticket:
            return
        self._sessions.pop(name, None)
        self._sessions[name] = session
        if len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)


class Contexts:
    """The context of every endpoint, and one for each client certificate. `roots` are PEM, trusted besides the rest.

    Reading all authorities takes OpenSSL a tenth of a second, so a thread does it.
    """

    def __init__(self, roots: tuple[bytes, ...] = ()) -> None:
        self._roots = roots
        self._made: OrderedDict[ClientCertificate | None, ResumingContext] = OrderedDict()
        self._running: dict[ClientCertificate | None, asyncio.Task[ResumingContext]] = {}

    async def context(self, identity: ClientCertificate | None = None) -> ResumingContext:
        """A context. Raises ValueError or OSError (ssl.SSLError is one) if the certificate cannot be used."""
        known = self._made.get(identity)
        if known is None:
            # Shielded, for others wait for the same context.
            known = await asyncio.shield(self._start(identity))
        elif identity is not None:
            self._made.move_to_end(identity)
        return known

    def _start(self, identity: ClientCertificate | None) -> asyncio.Task[ResumingContext]:
        if (task := self._running.get(identity)) is None:
            task = asyncio.create_task(asyncio.to_thread(make_context, self._roots, identity))
            self._running[identity] = task
            task.add_done_callback(lambda done: self._finish(identity, done))
        return task

    def _finish(self, identity: ClientCertificate | None, task: asyncio.Task[ResumingContext]) -> None:
        self._running.pop(identity, None)
        if task.cancelled() or task.exception() is not None:
            return
        self._made[identity] = task.result()
        if len(self._made) > MAX_IDENTITIES:
            oldest = next(each for each in self._made if each is not None)
            del self._made[oldest]


def make_context(roots: tuple[bytes, ...] = (), identity: ClientCertificate | None = None) -> ResumingContext:
    """TLS 1.2 or newer, HTTP/1.1 only, and the authorities of the system, of certifi and of the operator."""
    context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    context.set_alpn_protocols(["http/1.1"])
    if identity is not None:
        show(context, identity)
    context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    context.load_verify_locations(cafile=certifi.where())
    for root in roots:
        context.load_verify_locations(cadata=root.decode("ascii"))
    return context


def show(context: ssl.SSLContext, identity: ClientCertificate) -> None:
    """Let a context show a client certificate. Raises ssl.SSLError or ValueError if it cannot be used."""
    with _file(f"{identity.private_key}\n{identity.certificate}\n".encode()) as path:
        # Without a function that says otherwise, OpenSSL asks for a passphrase on the terminal.
        context.load_cert_chain(path, password="")


def check_identity(identity: ClientCertificate) -> None:
    """Raise ValueError if a client certificate cannot be used with its key."""
    try:
        show(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), identity)
    except ssl.SSLError:
        raise ValueError("the certificate cannot be used") from None


@contextmanager
def _file(content: bytes) -> Iterator[str]:
    """A path for what OpenSSL reads from files only: in memory where that is possible, because it is a private key."""
    if hasattr(os, "memfd_create"):
        number = os.memfd_create("identity", os.MFD_CLOEXEC)
        try:
            os.write(number, content)
            yield f"/proc/self/fd/{number}"
        finally:
            os.close(number)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "identity.pem"
        path.touch(mode=0o600)
        path.write_bytes(content)
        yield str(path)
