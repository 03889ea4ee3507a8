"""A web site of somebody else, with a page that shows an address in a frame.

It is at `localhost`, and the relay at `127.0.0.1`: for a browser these are two sites. It trusts both like https, so
that cookies with `Secure` work with http too.
"""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        src = parse_qs(urlsplit(self.path).query).get("src", [""])[0]
        body = f'<!doctype html><title>Parent</title><iframe width=1000 height=800 src="{escape(src)}"></iframe>'
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def embedding(context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve for as long as this is used, with `context` by https; gives the origin."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"{'https' if context else 'http'}://localhost:{server.server_address[1]}"
        server.shutdown()
        thread.join(30)


def framing(origin: str, address: str) -> str:
    """The address of a page at an origin that shows an address in a frame."""
    return f"{origin}/?{urlencode({'src': address})}"
