"""The receiver that takes every callback and answers 204: nginx where there is one, else granian without TLS."""

import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relay.cli.demo.ports import free_port
from tests.bench.processes import Child, child, listens
from tests.fault.certificates import Authority, Pair

# One process without a master, so that one id has all of its CPU time.
NGINX = """
daemon off; master_process off; pid nginx.pid; error_log stderr error;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600; client_body_buffer_size 1m;
  client_body_temp_path body; proxy_temp_path proxy;
  fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  ssl_certificate tls.pem; ssl_certificate_key tls.key;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    listen 127.0.0.1:{tls_port} ssl backlog=4096;
    location / {{ return 204; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Sink:
    """A running receiver."""

    kind: str
    port: int
    child: Child
    tls_port: int | None = None
    """None: this receiver has no TLS."""
    root: bytes = b""
    """The authority of its certificate, as PEM."""

    @property
    def url(self) -> str:
        """Where callbacks go; any path below it will do as well."""
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def tls_url(self) -> str:
        """The same over TLS."""
        return f"https://127.0.0.1:{self.tls_port}/hook"


@asynccontextmanager
async def sink(folder: Path) -> AsyncIterator[Sink]:
    """Run a receiver for as long as the block lasts."""
    port, tls_port, authority = free_port(), free_port(), Authority()
    nginx = shutil.which("nginx")
    if nginx is None:
        async with child("sink", *_granian(port), folder=folder, ready=listens(port)) as running:
            yield Sink("granian", port, running)
        return
    command = _nginx(nginx, folder, port, tls_port, authority.issue("127.0.0.1"))
    async with child("sink", *command, folder=folder, ready=listens(port)) as running:
        yield Sink("nginx", port, running, tls_port, authority.root)


def _nginx(binary: str, folder: Path, port: int, tls_port: int, pair: Pair) -> list[str]:
    own = folder / "nginx"
    own.mkdir(exist_ok=True)
    (own / "tls.pem").write_text(pair.certificate)
    (own / "tls.key").write_text(pair.private_key)
    (own / "nginx.conf").write_text(NGINX.format(port=port, tls_port=tls_port))
    return [binary, "-p", str(own), "-c", "nginx.conf", "-e", "stderr"]


def _granian(port: int) -> list[str]:
    return [
        sys.executable, "-m", "granian", "--interface", "rsgi", "--loop", "uvloop", "--port", str(port),
        "--no-ws", "--log-level", "warning", "--backpressure", "4096", "tests.bench.sinks:take",
    ]  # fmt: skip


async def take(_scope: Any, protocol: Any) -> None:
    """Take one request (RSGI), for granian."""
    await protocol()
    protocol.response_empty(204, [])
