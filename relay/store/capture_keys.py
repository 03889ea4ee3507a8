"""The key of captured values."""

from relay.domain.model import EndpointId


def captured(endpoint: EndpointId, key: str) -> str:
    """string: the JSON of what was captured for a row. Lives as long as dead deliveries."""
    return f"relay:{{{endpoint}}}:captured:{key}"
