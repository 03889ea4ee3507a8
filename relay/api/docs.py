"""The reference of the API: OpenAPI as JSON, and one plain page that loads nothing."""

import base64
import hashlib
from html import escape
from typing import Any

import msgspec
from litestar import Request
from litestar.exceptions import NotFoundException
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
h2{margin-top:2.5rem;border-bottom:1px solid #ccc}summary{cursor:pointer;padding:.3rem 0}
code,pre{font:14px/1.4 ui-monospace,monospace;background:#f4f4f4}pre{padding:.7rem;overflow:auto}
b{display:inline-block;min-width:4.5rem;font:600 14px ui-monospace,monospace}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}code,pre{background:#242424}a{color:#8bf}}
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'; base-uri 'none'"
"""The content security policy of the page: only its own style."""


async def refuse_other_pages(request: Request[Any, Any, Any]) -> None:
    """Answer 404 for other paths below the page, where the framework would show its own page."""
    if request.path_params:
        raise NotFoundException


class SchemaPlugin(JsonRenderPlugin):
    """`/docs/openapi.json`."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The schema as JSON."""
        return msgspec.json.encode(request.app.state.document)


class PagePlugin(OpenAPIRenderPlugin):
    """`/docs`: all operations with their parameters and bodies, without scripts."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The page."""
        return _page(request.app.state.document).encode()


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
