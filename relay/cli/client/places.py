"""Where the relay is and with which key it is asked: from variables, or a profile of a file."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from relay.cli.faults import Misused
from relay.config.client_variables import API_KEY, API_URL, PROFILE
from relay.domain.model import Secret

LOCAL = "http://127.0.0.1"
FIELDS = {"url", "key"}


@dataclass(frozen=True, kw_only=True)
class Place:
    """A relay's API, and the key for it. `key_from` names the place of the key for messages."""

    url: str
    key: Secret
    key_from: str


def profiles_file(environ: Mapping[str, str]) -> Path:
    """Where profiles are: `relay/profiles.toml` in XDG_CONFIG_HOME, which is `~/.config` by default."""
    home = environ.get("HOME") or "~"  # A user of a container may have none.
    folder = environ.get("XDG_CONFIG_HOME") or Path(home) / ".config"
    return Path(folder) / "relay/profiles.toml"


def _is_there(file: Path) -> bool:
    try:
        return file.exists()
    except OSError:
        return False  # The home belongs to another user.


def chosen(environ: Mapping[str, str], profile: str | None) -> Place:
    """The relay that a command means.

    The first of these counts: `profile`, RELAY_API_URL and RELAY_API_KEY, RELAY_PROFILE, the default profile of the
    file, and the relay on this machine with RELAY_ADMIN_KEY. Raises Misused.
    """
    given = {name: environ.get(name, "").strip() for name in (API_URL, API_KEY, PROFILE)}
    if not profile and (given[API_URL] or given[API_KEY]):
        return _from_variables(given, environ)
    file = profiles_file(environ)
    name = profile or given[PROFILE]
    profiles = _read(file) if name or _is_there(file) else {}
    name = name or profiles.get("default", "")
    if not isinstance(name, str):
        raise Misused(f"{file}: default must be the name of a profile, a text in quotes")
    if name:
        return _from_profile(profiles, name, file)
    if admin := environ.get("RELAY_ADMIN_KEY", "").strip():
        return Place(url=_local(environ), key=_key(admin, "RELAY_ADMIN_KEY"), key_from="RELAY_ADMIN_KEY")
    raise Misused(
        f"the URL and the key of a relay are not set. Set {API_URL} and {API_KEY}, or write a profile into {file} "
        '(default = "main", and [main] with url and key), and choose others with --profile'
    )


def _from_variables(given: Mapping[str, str], environ: Mapping[str, str]) -> Place:
    if not given[API_KEY]:
        raise Misused(f"{API_KEY} is required with {API_URL}: set it to an API key (relay key create makes one)")
    url = _checked(given[API_URL], API_URL) if given[API_URL] else _local(environ)
    return Place(url=url, key=_key(given[API_KEY], API_KEY), key_from=API_KEY)


def _local(environ: Mapping[str, str]) -> str:
    port = environ.get("RELAY_PORT", "").strip()
    is_port = port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65536
    return f"{LOCAL}:{port if is_port else 8080}"


def _from_profile(profiles: Mapping[str, Any], name: str, file: Path) -> Place:
    found = profiles.get(name)
    if not isinstance(found, dict):
        known = ", ".join(sorted(each for each, value in profiles.items() if isinstance(value, dict)))
        raise Misused(f"{file} has no profile {name!r}: it has {known or 'none'}")
    if unknown := sorted(found.keys() - FIELDS):
        raise Misused(f"{file}: profile {name!r} has the unknown field {unknown[0]!r}: the fields are url and key")
    for field in sorted(FIELDS):
        if not isinstance(found.get(field), str) or not found[field].strip():
            raise Misused(f"{file}: profile {name!r} requires {field}, a text")
    url = _checked(found["url"].strip(), f"{file}: url of profile {name!r}")
    key = _key(found["key"].strip(), f"{file}: key of profile {name!r}")
    return Place(url=url, key=key, key_from=f"profile {name!r} of {file}")


def _read(file: Path) -> dict[str, Any]:
    try:
        if os.name == "posix" and file.stat().st_mode & 0o077:
            raise Misused(f"{file} has API keys, and others on this machine can read it: run chmod 600 {file}")
        return tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise Misused(f"there is no file {file}, where profiles are") from None
    except OSError as error:
        raise Misused(f"{file} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Misused(f"{file} is not TOML: {error}") from None


def _key(key: str, name: str) -> Secret:
    """A key that a header can have. Raises Misused, which never repeats the key."""
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise Misused(f"{name} must be printable ASCII without spaces: set it to the key alone")
    return Secret(key)


def _checked(url: str, name: str) -> str:
    try:
        httpx.URL(url).raw_host.decode("ascii").encode("idna")  # As sockets do it.
        parts = urlsplit(url)  # It leaves line feeds out.
        is_right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        is_right = is_right and url.isprintable() and " " not in url
    except (ValueError, httpx.InvalidURL):
        is_right, parts = False, urlsplit("")
    if not is_right or parts.query or parts.fragment or parts.username is not None:
        raise Misused(f"{name} must be the http or https URL of the relay, such as https://relay.example.com")
    return url.rstrip("/").removesuffix("/api/v1").rstrip("/")
