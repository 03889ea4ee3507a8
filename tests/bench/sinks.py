"""The receiver that takes every callback and answers 204: nginx where there is one, else granian."""

import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.processes import Child, child, free_port, listens

# One process without a master, so that one id has all of its CPU time.
NGINX = """
daemon off; master_process off; pid nginx.pid; error_log stderr error;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600; client_body_buffer_size 1m;
  client_body_temp_path body; proxy_temp_path proxy;
  fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
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

    @property
    def url(self) -> str:
        """Where callbacks go; any path below it will do as well."""
        return f"http://127.0.0.1:{self.port}/hook"


@asynccontextmanager
async def sink(folder: Path) -> AsyncIterator[Sink]:
    """Run a receiver for as long as the block lasts."""
    port = free_port()
    nginx = shutil.which("nginx")
    kind, command = ("nginx", _nginx(nginx, folder, port)) if nginx else ("granian", _granian(port))
    async with child("sink", *command, folder=folder, ready=listens(port)) as running:
        yield Sink(kind, port, running)


def _nginx(binary: str, folder: Path, port: int) -> list[str]:
    own = folder / "nginx"
    own.mkdir(exist_ok=True)
    (own / "nginx.conf").write_text(NGINX.format(port=port))
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
