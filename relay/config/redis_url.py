"""RELAY_REDIS_URL: checked at the start, where redis-py would guess, or fail later with the password in a traceback."""

import re
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl

from relay.config.values import split_url
from relay.domain.model import Secret
from relay.store.redis_url import SCHEMES, RedisUrl, read_url

FORMS = (
    "redis://user:password@host:6379/0, rediss:// for TLS, unix:///path/to/redis.sock, "
    "redis+sentinel://host:26379,host:26379/name-of-the-master/0, or redis+cluster://host:6379,host:6379"
)
ENCODE = "percent-encode special characters in the user name and the password: / is %2F, # is %23, ? is %3F, @ is %40"
MOST_HOSTS = 100
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_TLS = (*_FILES, "ssl_cert_reqs", "ssl_check_hostname")
_WORDS = {
    "protocol": ("2", "3"),
    "ssl_cert_reqs": ("none", "optional", "required"),
    "ssl_check_hostname": ("true", "false"),
}
_DATABASE = re.compile(r"[0-9]{1,6}\Z")
_SERVICE = re.compile(r"[A-Za-z0-9._-]{1,200}\Z")


def redis_url(value: str) -> Secret:
    """Check the URL. Raises ValueError, which quotes nothing of it but the names of parameters."""
    scheme, colon, _ = value.partition(":")
    if colon and scheme not in SCHEMES:
        raise ValueError(f"must be a URL like {FORMS}")
    _check_special_characters(value)
    if not value.startswith(f"{scheme}://"):
        # One slash or none: the host would be read as a path.
        raise ValueError(f"must name a host: a URL like {FORMS}" if colon else f"must be a URL like {FORMS}")
    try:
        url = read_url(value)
    except ValueError:
        raise ValueError(
            "must name the master behind the hosts, such as redis+sentinel://host:26379/mymaster"
        ) from None
    if len(url.singles) > MOST_HOSTS:
        raise ValueError(f"must not have more than {MOST_HOSTS} hosts")
    for single in url.singles:
        _check_single(single)
    _check_form(url)
    return Secret(value)


def _check_single(single: str) -> None:
    parts = split_url(single)
    if parts is None:
        raise ValueError(f"must be a URL like {FORMS}, with a port from 1 to 65535; {ENCODE}")
    if parts.scheme == "unix":
        _check_socket(parts)
    else:
        _check_host(parts)
    _check_parameters(parts)


def _check_form(url: RedisUrl) -> None:
    if url.kind == "sentinel" and not _SERVICE.match(url.service):
        raise ValueError("must have the name of a master: letters, digits, dots, dashes and underscores")
    if url.kind == "cluster":
        parts = split_url(url.singles[0])
        named = dict(parse_qsl(parts.query)).get("db", "0") if parts else "0"
        if parts and (parts.path not in ("", "/", "/0") or int(named) != 0):
            raise ValueError("must not have a database other than 0: a cluster has no others")


def _check_special_characters(value: str) -> None:
    # Raw, each of these ends the part of a URL that the password stands in.
    before, at, _ = value.rpartition("@")
    credentials = before.partition("://")[2]
    if "#" in value or (at and any(character in credentials for character in "/?#")):
        raise ValueError(f"has a character that ends the host: {ENCODE}")
    if any(character.isspace() for character in value):
        raise ValueError(f"must not have spaces; {ENCODE}")


def _check_host(parts: SplitResult) -> None:
    if not parts.hostname:
        raise ValueError(f"must name a host: a URL like {FORMS}")
    database = parts.path.removeprefix("/")
    if database and not _DATABASE.match(database):
        raise ValueError("must have the number of a database behind the host, such as /0, or nothing")


def _check_socket(parts: SplitResult) -> None:
    if not parts.path.startswith("/") or parts.path == "/":
        raise ValueError("must have the path of a socket, such as unix:///path/to/redis.sock")
    host = (parts.netloc.rpartition("@")[2]).strip()
    if host:
        raise ValueError("must have three slashes before the path of a socket: unix:///path/to/redis.sock")


def _check_parameters(parts: SplitResult) -> None:
    allowed = ("protocol", "db", *(_TLS if parts.scheme == "rediss" else ()))
    seen = set()
    for name, value in parse_qsl(parts.query, keep_blank_values=True, max_num_fields=20):
        if name in _TLS and name not in allowed:
            raise ValueError(f"has the parameter {name}, which needs rediss://")
        if name not in allowed:
            raise ValueError(f"has a parameter that is not known. Allowed are {', '.join(allowed)}")
        if name in seen:
            raise ValueError(f"has the parameter {name} twice")
        seen.add(name)
        if name == "db" and not _DATABASE.match(value):
            raise ValueError("must have a number as its parameter db")
        if name in _WORDS and value not in _WORDS[name]:
            raise ValueError(f"must have {' or '.join(_WORDS[name])} as its parameter {name}")
        if name in _FILES and not Path(value).is_file():
            raise ValueError(f"must have the path of a file that can be read as its parameter {name}")
