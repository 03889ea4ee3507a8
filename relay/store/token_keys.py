"""The keys of access tokens that workers have in common."""


def token(name: str) -> str:
    """string: a sealed access token, by a short name of its credentials. Lives as long as the token is fresh."""
    return f"relay:{{{name}}}:token"


def getting(name: str) -> str:
    """string: there while a worker gets a token, with a text that only this worker knows. Lives a minute."""
    return f"relay:{{{name}}}:getting"
