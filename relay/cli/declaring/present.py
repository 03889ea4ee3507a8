"""Reads what the relay has, as far as a file is about it."""

from collections.abc import Iterator
from typing import Any

from relay.cli.client.api import Api, path_of
from relay.cli.declaring.document import Document
from relay.cli.declaring.planning import Present
from relay.cli.faults import Misused
from relay.domain.masking import HIDDEN


class Reading:
    """Reads objects. `nameless` are those without a uid, which a file cannot declare."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.nameless: list[str] = []

    def everything(self) -> Present:
        """All sources, applications and endpoints."""
        applications = self._applications()
        return Present(
            sources=self._sources(),
            applications=applications,
            endpoints={uid: self._endpoints(shown["id"], with_headers=True) for uid, shown in applications.items()},
        )

    def about(self, document: Document) -> Present:
        """What a file declares or could delete."""
        applications = self._applications() if document.applications is not None else {}
        endpoints = {}
        for uid, declared in document.endpoints.items():
            if uid in applications:
                with_headers = any("headers" in document.compared_with(uid, each) for each in declared)
                endpoints[uid] = self._endpoints(applications[uid]["id"], with_headers=with_headers)
        sources = self._sources() if document.sources is not None else {}
        return Present(sources=sources, applications=applications, endpoints=endpoints)

    def _sources(self) -> dict[str, dict[str, Any]]:
        return {each["uid"]: each for each in self._api.items("source", order="ascending")}

    def _applications(self) -> dict[str, dict[str, Any]]:
        return dict(self._named("app", "application"))

    def _endpoints(self, app: str, *, with_headers: bool) -> dict[str, dict[str, Any]]:
        found = dict(self._named(path_of("app", app, "endpoint"), "endpoint"))
        if with_headers:
            for endpoint in found.values():
                headers = self._api.get(path_of("app", app, "endpoint", endpoint["id"], "headers"))
                endpoint["headers"] = headers["headers"] | dict.fromkeys(headers["sensitive"])
        return found

    def _named(self, path: str, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for each in self._api.items(path):
            if each["uid"]:
                yield each["uid"], each
            else:
                self.nameless.append(f"{kind} {each['id']}")


def recipe_endpoint(api: Api, name: str, parameters: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The endpoint that a recipe makes, as far as the relay shows it, and the values of secret parameters.

    Raises Misused for a parameter that the recipe does not have.
    """
    from relay.recipes import PARAMETER  # only files with recipes need it

    recipe = api.get(path_of("recipe", name))
    known = [each["name"] for each in recipe["parameters"]]
    if unknown := [each for each in parameters if each not in known]:
        raise Misused(f"recipe {name} has no parameter {unknown[0]!r}: its parameters are {', '.join(known)}")
    values = {each["name"]: parameters.get(each["name"], each["default"] or "") for each in recipe["parameters"]}
    secrets = [str(values[each["name"]]) for each in recipe["parameters"] if each["secret"]]

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return PARAMETER.sub(lambda found: str(values.get(found[1], HIDDEN)), value)
        if isinstance(value, list):
            return [filled(each) for each in value]
        if isinstance(value, dict):
            return {name: filled(each) for name, each in value.items()}
        return value

    return filled(recipe["endpoint"]), secrets
