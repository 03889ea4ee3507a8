"""The REST API for any ASGI server: `uvicorn relay.asgi:app`."""

import os

from relay.api.app import create_app
from relay.config import load
from relay.observability import catch_strays, setup_logging

settings = load(os.environ)
setup_logging(settings.log_format, settings.log_level)
catch_strays()
app = create_app(settings)
