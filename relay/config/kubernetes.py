"""Variables that Kubernetes makes from Services: one that is called `relay` makes RELAY_PORT=tcp://10.0.0.1:8080."""

import re
from collections.abc import Mapping

_VALUE = re.compile(r"(?:tcp|udp|sctp)://", re.IGNORECASE)
_NAME = re.compile(
    r"RELAY_(?:[A-Z0-9_]{1,200}_)?"
    r"(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]{1,200})?|PORT_[0-9]{1,5}_(?:TCP|UDP|SCTP)(?:_(?:ADDR|PORT|PROTO))?)\Z"
)


def is_from_a_service(name: str, value: str) -> bool:
    """Whether Kubernetes made a variable for a Service, so that it is no setting."""
    return bool(_NAME.match(name[:300])) or (name.endswith("_PORT") and bool(_VALUE.match(value)))


def ignored(environ: Mapping[str, str]) -> list[str]:
    """The names of `RELAY_*` variables that Kubernetes made from a Service: the start warns about them."""
    return sorted(
        name for name, value in environ.items() if name.startswith("RELAY_") and is_from_a_service(name, value)
    )
