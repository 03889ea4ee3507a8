"""What the text of a setting means: one reader for each kind of value.

A reader raises ValueError with what is allowed. It never quotes the text: a secret may stand in the wrong variable.
"""

import base64
import binascii
import ipaddress
import re
import ssl
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from relay.domain.addresses import NAT64_LENGTHS
from relay.domain.model import Secret

T = TypeVar("T")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MOST_ENTRIES = 1000
"""Of a list."""
_WHOLE = re.compile(r"[0-9]{1,16}\Z")
_DECIMAL = re.compile(r"[0-9]{1,16}(\.[0-9]{1,9})?\Z")
_PRINTABLE = re.compile(r"[\x21-\x7e]{1,4096}\Z")
_HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z")


def whole(value: str, low: int, high: int) -> int:
    """A whole number within bounds."""
    number = int(value) if _WHOLE.match(value) else None
    if number is None or not low <= number <= high:
        raise ValueError(f"must be a whole number from {low} to {high}")
    return number


def port(value: str) -> int:
    """A port; 0 takes any free one."""
    return whole(value, 0, 65535)


def count(value: str) -> int:
    """A number of things."""
    return whole(value, 1, 2**53)


def processes(value: str) -> int:
    """A number of processes: 0 to 64."""
    return whole(value, 0, 64)


def seconds(value: str) -> float:
    """A number of seconds."""
    number = float(value) if _DECIMAL.match(value) else -1.0
    if not 0.01 <= number <= 31_536_000:
        raise ValueError("must be a number of seconds, from 0.01 to 31536000 (a year)")
    return number


def delay(value: str) -> float:
    """A number of seconds that may be 0."""
    number = float(value) if _DECIMAL.match(value) else -1.0
    if not 0 <= number <= 600:
        raise ValueError("must be a number of seconds, from 0 to 600")
    return number


def share(value: str) -> float:
    """A part of something."""
    number = float(value) if _DECIMAL.match(value) else -1.0
    if not 0.1 <= number <= 0.99:
        raise ValueError("must be a share from 0.1 to 0.99")
    return number


def schedule(value: str) -> tuple[float, ...]:
    """Seconds before each further try."""
    pauses = tuple(_each(value, seconds))
    if not pauses:
        raise ValueError("must have at least one number of seconds")
    return pauses


def pauses(value: str) -> tuple[float, ...]:
    """Numbers of seconds; `0` alone: none."""
    return () if value == "0" else schedule(value)


def networks(value: str) -> tuple[Network, ...]:
    """Networks, separated by commas."""
    return tuple(_each(value, _network))


def nat64_prefixes(value: str) -> tuple[ipaddress.IPv6Network, ...]:
    """Prefixes of NAT64, separated by commas (RFC 6052)."""
    return tuple(_each(value, _nat64_prefix))


def ports(value: str) -> tuple[int, ...]:
    """Ports, separated by commas."""
    return tuple(_each(value, lambda part: whole(part, 1, 65535)))


def origins(value: str) -> tuple[str, ...]:
    """Origins of web pages (RFC 6454), separated by commas; `*`: all."""
    return tuple(_each(value, _origin))


def embed_origins(value: str) -> tuple[str, ...]:
    """The same without `*`: a page that anybody can embed can be clicked on unseen."""
    found = origins(value)
    if "*" in found:
        raise ValueError("must be origins like https://app.example: `*` would let every page embed the portal")
    return found


def public_url(value: str) -> str:
    """Where others reach the API, such as `https://relay.example.com`."""
    if value == "*":
        raise ValueError("must be a URL like https://relay.example.com, without a path")
    return _origin(value.rstrip("/"))


def name_servers(value: str) -> tuple[str, ...]:
    """`address:port`, separated by commas; IPv6 in brackets when a port follows."""
    return tuple(_each(value, _name_server))


def host(value: str) -> str:
    """An address to listen on, or a name for one."""
    if _is_address(value.strip("[]")):
        return value.strip("[]")
    if not _HOST_NAME.match(value):
        raise ValueError("must be an address such as 0.0.0.0 or ::, or a host name, without a scheme or a port")
    return value


def proxy(value: str) -> Secret:
    """The URL of a forward proxy."""
    parts = split_url(value)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be the URL of a proxy, such as http://user:password@proxy:3128")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("must have nothing behind its port; percent-encode / ? # in its password")
    return Secret(value)


def checkpoint_url(value: str) -> str:
    """The URL of a folder or a bucket. Credentials never stand in it: they come from variables or the machine."""
    parts = split_url(value)
    if parts is None or parts.scheme not in ("file", "s3", "gs", "az"):
        raise ValueError("must be a URL like file:///var/lib/relay, s3://bucket/prefix, gs://bucket/prefix or az://…")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("must not have credentials, a query or a fragment: see docs/configuration.md, The checkpoint")
    if parts.scheme == "file" and (parts.netloc or not parts.path.startswith("/") or not parts.path.strip("/")):
        raise ValueError("must name a folder by its whole path, with three slashes: file:///var/lib/relay")
    if parts.scheme != "file" and not parts.netloc:
        raise ValueError("must name a bucket or a container: s3://bucket/prefix")
    return value


def tracing(value: str) -> str:
    """`off` or `otlp`. The second takes packages that an installation may lack."""
    if choice("off", "otlp")(value) == "otlp":
        try:
            import_module("opentelemetry.exporter.otlp.proto.http")
        except ImportError:
            raise ValueError("otlp needs further packages: install infinity-event-relay[tracing]") from None
    return value


def choice(*allowed: str) -> Callable[[str], str]:
    """One of some words."""

    def read(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return value

    return read


def encryption_keys(value: str) -> tuple[Secret, ...]:
    """Keys of 32 bytes in base64, separated by commas."""
    keys = tuple(_each(value, _encryption_key))
    if not keys:
        raise ValueError("must be 32 bytes in base64; separate several by commas (the first one encrypts)")
    return keys


def api_key(value: str) -> Secret:
    """A key that clients send in a header."""
    if len(value) < 16 or not _PRINTABLE.match(value):
        raise ValueError("must have at least 16 characters, all of them printable ASCII without spaces")
    return Secret(value)


def folder(value: str) -> Path:
    """The path of a folder."""
    if not value.isprintable():
        raise ValueError("must not have control characters")
    return Path(value)


def certificates(value: str) -> tuple[bytes, ...]:
    """What a file of certificates holds."""
    try:
        content = folder(value).read_bytes()
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=content.decode("ascii"))
    except (OSError, ValueError):
        raise ValueError("must be the path of a readable file with certificates in PEM") from None
    return (content,)


def split_url(value: str) -> SplitResult | None:
    """The parts of a URL; None: it can't be read, or its port is none."""
    try:
        parts = urlsplit(value)
        return parts if _PRINTABLE.match(value) and (parts.port is None or parts.port > 0) else None
    except ValueError:
        return None


def _each(value: str, read: Callable[[str], T]) -> list[T]:
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if len(parts) > MOST_ENTRIES:
        raise ValueError(f"must not have more than {MOST_ENTRIES} entries")
    found = []
    for number, part in enumerate(parts, 1):
        try:
            found.append(read(part))
        except ValueError as error:
            raise ValueError(f"{error} (entry {number} is not)" if len(parts) > 1 else str(error)) from None
    return found


def _origin(part: str) -> str:
    parts = split_url(part)
    is_origin = parts is not None and parts.scheme in ("http", "https") and part == f"{parts.scheme}://{parts.netloc}"
    if part != "*" and not (is_origin and parts is not None and parts.hostname and "@" not in part):
        raise ValueError("must be origins like https://console.example, without a path, or *")
    return part.lower()


def _network(part: str) -> Network:
    try:
        return ipaddress.ip_network(part)
    except ValueError:
        pass
    try:
        ipaddress.ip_network(part, strict=False)
    except ValueError:
        raise ValueError("must be networks like 10.1.0.0/16, separated by commas") from None
    raise ValueError("must be networks whose bits behind the prefix are 0, like 10.1.0.0/16 and not 10.1.2.3/16")


def _nat64_prefix(part: str) -> ipaddress.IPv6Network:
    network = _network(part)
    if not isinstance(network, ipaddress.IPv6Network) or network.prefixlen not in NAT64_LENGTHS:
        raise ValueError(f"must be IPv6 prefixes of {', '.join(map(str, NAT64_LENGTHS))} bits, like 2001:db8:64::/96")
    return network


def _name_server(part: str) -> str:
    address, bracket, rest = part.removeprefix("[").partition("]") if part.startswith("[") else (part, "", "")
    if not bracket and part.count(":") == 1:
        address, _, rest = part.partition(":")
        rest = f":{rest}"
    if not _is_address(address) or part.startswith("[") != bool(bracket):
        raise ValueError("must be addresses of name servers, like 10.0.0.10, 10.0.0.10:53 or [fd00::10]:53")
    if rest:
        whole(rest.removeprefix(":"), 1, 65535)
    return part


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _encryption_key(part: str) -> Secret:
    try:
        raw = base64.b64decode(part, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 32:
        raise ValueError("must be 32 bytes in base64; separate several by commas (the first one encrypts)")
    return Secret(part)
