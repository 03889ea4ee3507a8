"""A browser without JavaScript: it keeps cookies, follows redirects, and sends the forms that a page has."""

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

import httpx

ORIGIN = "http://relay.test"
VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})


@dataclass
class Form:
    """A form of a page."""

    action: str
    fields: dict[str, str]


class Page(HTMLParser):
    """An answer, read as HTML."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.answer = answer
        self.status = answer.status_code
        self.html = answer.text
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self._text: list[str] = []
        self._area = ""
        self._select = ""
        if "html" in answer.headers.get("content-type", ""):
            self.feed(self.html)
        self.text = re.sub(r"\s+", " ", "".join(self._text)).strip()
        """What people read."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note links, forms and their fields."""
        given = {name: value or "" for name, value in attrs}
        self.tags.append((tag, given))
        if tag == "form":
            self.forms.append(Form(given.get("action", ""), {}))
        if tag == "a":
            self.links.append(given.get("href", ""))
        if not self.forms:
            return
        fields = self.forms[-1].fields
        if (
            tag == "input"
            and "name" in given
            and (given.get("type") not in ("checkbox", "radio") or "checked" in given)
        ):
            fields[given["name"]] = given.get("value", "on" if given.get("type") == "checkbox" else "")
        if tag == "textarea":
            self._area = given["name"]
            fields[self._area] = ""
        if tag == "select":
            self._select = given["name"]
        if tag == "option" and self._select and ("selected" in given or self._select not in fields):
            fields[self._select] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        """Note the end of fields."""
        if tag == "textarea":
            # As in HTML, a line end right after the tag is not part of the text.
            self.forms[-1].fields[self._area] = self.forms[-1].fields[self._area].removeprefix("\n")
            self._area = ""
        if tag == "select":
            self._select = ""

    def handle_data(self, data: str) -> None:
        """Note text."""
        if self._area:
            self.forms[-1].fields[self._area] += data
        self._text.append(data)

    def form(self, action: str) -> Form:
        """The form that is sent to an address that ends like this."""
        found = [form for form in self.forms if form.action.endswith(action)]
        assert found, (action, [form.action for form in self.forms], self.status, self.text[:300])
        return found[0]


class Walker:
    """Walks through the console."""

    def __init__(self, app: Any) -> None:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url=ORIGIN)
        self.page: Page

    async def __aenter__(self) -> "Walker":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def get(self, path: str, **headers: str) -> Page:
        """Open a page, and follow where it leads."""
        return await self._arrive(await self.http.get(path, headers=headers))

    async def post(self, path: str, fields: dict[str, str], **headers: str) -> Page:
        """Send fields, and follow where they lead."""
        sent = {"origin": ORIGIN, "sec-fetch-site": "same-origin"} | {
            k.replace("_", "-"): v for k, v in headers.items()
        }
        return await self._arrive(await self.http.post(path, data=fields, headers=sent))

    async def send(self, action: str, **values: str) -> Page:
        """Fill in a form of the page, and send it."""
        form = self.page.form(action)
        return await self.post(form.action, form.fields | values)

    async def sign_in(self, key: str) -> Page:
        """Sign in."""
        await self.get("/console/sign-in")
        return await self.send("/console/sign-in", key=key)

    async def _arrive(self, answer: httpx.Response) -> Page:
        for _ in range(5):
            if "location" not in answer.headers:
                break
            answer = await self.http.get(urljoin(str(answer.url), answer.headers["location"]))
        self.page = Page(answer)
        return self.page
