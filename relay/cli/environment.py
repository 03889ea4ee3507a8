"""What a process says of its environment when it starts."""

from collections.abc import Mapping

import structlog

from relay.config.kubernetes import ignored

log = structlog.get_logger()


def warn_of_ignored(environ: Mapping[str, str]) -> None:
    """Name the variables that Kubernetes made from Services, which look like settings and are none."""
    if names := ignored(environ):
        log.warning("environment_ignored", names=names, do="set enableServiceLinks: false, or rename the Service")
