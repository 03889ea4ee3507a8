"""The reference of the API: OpenAPI as JSON, a page with a viewer that is shipped with the relay, and a plain page."""

import base64
import hashlib
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.enums import OpenAPIMediaType

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
h2{margin-top:2.5rem;border-bottom:1px solid #ccc}summary{cursor:pointer;padding:.3rem 0}
code,pre{font:14px/1.4 ui-monospace,monospace;background:#f4f4f4}pre{padding:.7rem;overflow:auto}
b{display:inline-block;min-width:4.5rem;font:600 14px ui-monospace,monospace}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}code,pre{background:#242424}a{color:#8bf}}
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'; base-uri 'none'"
"""The content security policy of everything but the viewer: only the style of the plain page."""

VIEWER = "scalar-1.46.4.js"
VIEWER_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""The viewer writes styles into its page, and reads openapi.json. It cannot reach anything else."""
OPTIONS = {
    "withDefaultFonts": False,
    "telemetry": False,
    "agent": {"disabled": True},
    "hideClientButton": True,
    "showDeveloperTools": "never",
    "mcp": {"disabled": True},
    "defaultHttpClient": {"targetKey": "shell", "clientKey": "curl"},
    "authentication": {"preferredSecurityScheme": "key"},
}
"""No fonts, statistics or services from elsewhere."""


@get("/docs", include_in_schema=False, media_type="text/html", sync_to_thread=False)
def reference(request: Request[Any, Any, Any]) -> bytes:
    """The reference in Scalar."""
    title = escape(request.app.state.document["info"]["title"])
    options = escape(msgspec.json.encode(OPTIONS).decode())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"></head><body>'
        '<noscript>This page needs JavaScript. <a href="/docs/plain">The plain page</a> does not.</noscript>'
        f'<script id="api-reference" data-url="/docs/openapi.json" data-configuration="{options}"></script>'
        f'<script src="/docs/{VIEWER}"></script></body></html>'
    ).encode()


@get(f"/docs/{VIEWER}", include_in_schema=False, media_type="text/javascript")
async def viewer() -> Response[bytes]:
    """The viewer, as its makers ship it. Its name has its version, so browsers keep it."""
    headers = {"content-encoding": "gzip", "cache-control": "public, max-age=31536000, immutable"}
    return Response(_viewer(), headers=headers)


@cache
def _viewer() -> bytes:
    return files("relay.api").joinpath("static", f"{VIEWER}.gz").read_bytes()


@get("/docs/plain", include_in_schema=False, media_type="text/html", sync_to_thread=False)
def plain(request: Request[Any, Any, Any]) -> bytes:
    """All operations with their parameters and bodies, without scripts."""
    return _page(request.app.state.document).encode()


@get("/docs/openapi.json", include_in_schema=False, media_type=OpenAPIMediaType.OPENAPI_JSON, sync_to_thread=False)
def schema(request: Request[Any, Any, Any]) -> bytes:
    """The OpenAPI document."""
    return msgspec.json.encode(request.app.state.document)


PAGES = (reference, viewer, plain, schema)


def _page(schema: dict[str, Any]) -> str:
    title = escape(schema["info"]["title"])
    by_tag: dict[str, list[str]] = {}
    for path, item in schema["paths"].items():
        for method, operation in item.items():
            by_tag.setdefault(operation.get("tags", ["other"])[0], []).append(_operation(path, method, operation))
    groups = "".join(f"<h2>{escape(tag)}</h2>{''.join(entries)}" for tag, entries in sorted(by_tag.items()))
    shapes = "".join(
        f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>{_json(shape)}</details>'
        for name, shape in sorted(schema["components"]["schemas"].items())
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>'
        f"<h1>{title} {escape(schema['info']['version'])}</h1><p>{escape(schema['info'].get('description', ''))}</p>"
        f'<p><a href="/docs/openapi.json">openapi.json</a></p>{groups}<h2>shapes</h2>{shapes}</html>'
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    parameters = "".join(
        f"<li><code>{escape(p['name'])}</code> ({escape(p['in'])}) {escape(p.get('description', ''))}</li>"
        for p in operation.get("parameters", [])
    )
    body = operation.get("requestBody", {}).get("content", {})
    answers = {status: answer.get("content", {}) for status, answer in operation["responses"].items()}
    return (
        f"<details><summary><b>{method.upper()}</b> <code>{escape(path)}</code> {escape(operation['summary'])}"
        "</summary>"
        f"<p>{escape(operation.get('description', ''))}</p><ul>{parameters}</ul>"
        f"{'<p>Body</p>' + _json(body) if body else ''}<p>Answers</p>{_json(answers)}</details>"
    )


def _json(value: Any) -> str:
    return f"<pre>{escape(msgspec.json.format(msgspec.json.encode(value)).decode())}</pre>"
