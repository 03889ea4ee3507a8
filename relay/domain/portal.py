"""The portal: what a token can do that lets a subscriber see one application, in Svix's words.

Such a token is short-lived and belongs to one application. Apart from that, it is an API key with scopes.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

Capability = Literal[
    "ViewBase",
    "ViewEndpointSecret",
    "ManageEndpointSecret",
    "ManageTransformations",
    "CreateAttempts",
    "ManageEndpoint",
]
SCOPES_OF: Mapping[Capability, tuple[str, ...]] = {
    "ViewBase": ("application:read", "attempt:read", "endpoint:read", "event_type:read", "message:read"),
    "ViewEndpointSecret": ("endpoint_secret:read",),
    "ManageEndpointSecret": ("endpoint_secret:write",),
    "ManageTransformations": ("endpoint:write",),
    "CreateAttempts": ("message:write",),
    "ManageEndpoint": ("endpoint:write", "endpoint_secret:write"),
}
"""`CreateAttempts` resends, replays and recovers messages, and sends examples. No token of the portal can post
messages, though scopes do not tell this apart."""
ALL: tuple[Capability, ...] = tuple(SCOPES_OF)
VIEWING: tuple[Capability, ...] = ("ViewBase",)
LONGEST_S, SHORTEST_S = 7 * 86_400, 60
"""How long a token works. Without a given time, as in Svix, it is the longest."""
CODE_LIVES_S = 600
"""How long the link to the portal works, once."""
PATH = "/console/portal"
"""Where the portal is, below the public URL."""


def scopes_of(capabilities: Iterable[Capability]) -> tuple[str, ...]:
    """The scopes that capabilities stand for, each once.

    >>> scopes_of(["ViewEndpointSecret", "ManageEndpointSecret"])
    ('endpoint_secret:read', 'endpoint_secret:write')
    """
    return tuple(dict.fromkeys(each for capability in capabilities for each in SCOPES_OF[capability]))


def link_of(public_url: str | None, code: str) -> str:
    """The link that opens the portal, once. Without a public URL, it begins with the path.

    >>> link_of("https://relay.example.com", "abc")
    'https://relay.example.com/console/portal/abc'
    """
    return f"{public_url or ''}{PATH}/{code}"
