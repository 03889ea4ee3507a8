"""Recipes: endpoints for the APIs of CRMs and others."""

from litestar import Controller, get
from litestar.params import FromPath

from relay.api.access import Reach, needs
from relay.api.problems import cut
from relay.api.schemas.common import ListOut
from relay.api.schemas.recipes import RecipeOut, show_recipe
from relay.domain.principals import Resource
from relay.errors import NotFound
from relay.recipes import recipes


class RecipeController(Controller):
    """`/api/v1/recipe`."""

    path = "/recipe"
    tags = ["endpoint"]  # noqa: RUF012 - the framework's own attribute
    opt = needs(Resource.ENDPOINT, Reach.EVERY)

    @get("/", summary="List recipes", sync_to_thread=False)
    def list_recipes(self) -> ListOut[RecipeOut]:
        """List all recipes. Create an endpoint from one by sending its name as `recipe`, and its `parameters`."""
        return ListOut(data=[show_recipe(*each) for each in recipes().items()], iterator=None, done=True)

    @get("/{recipe:str}", summary="Get a recipe", sync_to_thread=False)
    def get_recipe(self, recipe: FromPath[str]) -> RecipeOut:
        """Get one recipe by its name."""
        if (found := recipes().get(recipe)) is None:
            raise NotFound(f"there is no recipe {cut(recipe)}")
        return show_recipe(recipe, found)
