"""The console over the real API and a real store, walked by a browser without JavaScript."""

from collections.abc import AsyncIterator

import httpx
import pytest

from relay.wiring import Stores
from tests.integration.api.conftest import (
    KEY,
    application,
    base_url,
    clock,
    http,
    losses,
    opened,
    store,
    stores,
)
from tests.integration.api.documented import Documented
from tests.integration.console.walking import Walker

__all__ = ["application", "base_url", "clock", "http", "losses", "opened", "store", "stores"]


@pytest.fixture
async def stranger(application: Documented, http: httpx.AsyncClient, stores: Stores) -> AsyncIterator[Walker]:
    """A browser that is not signed in. The console calls the same application."""
    async with Walker(application.app) as walker:
        yield walker


@pytest.fixture
async def operator(stranger: Walker) -> Walker:
    """A browser that signed in with RELAY_ADMIN_KEY."""
    await stranger.sign_in(KEY)
    return stranger
