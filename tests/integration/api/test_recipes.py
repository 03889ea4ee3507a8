"""Recipes over the API: what they are, and endpoints that are created from them."""

import httpx
import pytest

RECIPE, TOKEN = "hubspot-unattached-call", "pat-eu1-12345678"


@pytest.fixture
async def path(http: httpx.AsyncClient) -> str:
    """Where endpoints are created."""
    await http.put("/app/acme", json={"name": "Acme"})
    return "/app/acme/endpoint"


async def test_recipes_are_listed_with_their_parameters(http: httpx.AsyncClient) -> None:
    """Each with what one has to send."""
    listed = (await http.get("/recipe")).json()
    assert RECIPE in [each["name"] for each in listed["data"]]
    one = (await http.get(f"/recipe/{RECIPE}")).json()
    assert one in listed["data"]
    assert {each["name"]: each["required"] for each in one["parameters"]} == {"token": True, "region": False}
    assert (await http.get("/recipe/nothing")).status_code == 404


async def test_a_recipe_makes_an_ordinary_endpoint(http: httpx.AsyncClient, path: str) -> None:
    """Fields that are sent replace those of the recipe, and the endpoint can be changed like any other."""
    body = {"recipe": RECIPE, "parameters": {"token": TOKEN}, "uid": "hubspot", "throttleRate": 3}
    made = await http.post(path, json=body)
    assert made.status_code == 201
    shown = made.json()
    assert (shown["throttleRate"], shown["variables"]) == (3, {"region": "GB"})
    assert shown["eventTypes"] == ["call.created", "call.updated"]
    assert shown["auth"] == {"type": "bearer"}
    assert TOKEN not in made.text
    changed = await http.patch(f"{path}/hubspot", json={"eventTypes": ["goal.created"], "verdicts": None})
    assert (changed.json()["eventTypes"], changed.json()["verdicts"]) == (["goal.created"], [])


@pytest.mark.parametrize(
    ("body", "place", "says"),
    [
        ({"recipe": RECIPE}, ["parameters", "token"], "is required: the access token"),
        ({"recipe": RECIPE, "parameters": {"token": "a b"}}, ["parameters", "token"], "must be a token"),
        ({"recipe": RECIPE, "parameters": {"token": TOKEN, "x": "1"}}, ["parameters", "x"], "`token`, `region`"),
        ({"recipe": "nothing"}, ["recipe"], "the recipes are"),
        ({"parameters": {"token": TOKEN}, "url": "https://crm.example"}, ["parameters"], "must be omitted"),
        ({"recipe": RECIPE, "parameters": {"token": TOKEN}, "method": "GET"}, ["method"], "must be one of"),
    ],
    ids=["missing", "form", "unknown", "no recipe", "alone", "a fault of another field"],
)
async def test_wrong_recipes_are_refused(
    http: httpx.AsyncClient, path: str, body: dict[str, object], place: list[str], says: str
) -> None:
    """With the parameter that is at fault, and what it has to be."""
    answer = await http.post(path, json=body)
    [fault] = answer.json()["detail"]
    assert (answer.status_code, fault["loc"]) == (422, ["body", *place])
    assert says in fault["msg"]
