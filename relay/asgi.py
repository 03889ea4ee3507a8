"""The REST API for any ASGI server: `uvicorn relay.asgi:app`."""

import os

from relay.api.app import create_app
from relay.config import load

app = create_app(load(os.environ))
