"""Settings: read from the environment, and refused all at once."""

import dataclasses

import pytest

from relay.config import Settings, load, variable
from relay.config.kubernetes import ignored
from relay.errors import Invalid

BACKLOG = ("BACKLOG_RESUME_DELIVERIES", "BACKLOG_STOP_DELIVERIES", "1000")
NEEDED = {"RELAY_ADMIN_KEY": "k" * 16, "RELAY_ENCRYPTION_KEY": "A" * 43 + "="}


@pytest.mark.parametrize("seconds", ["-1", "601", "soon", "nan"])
def test_the_shutdown_delay_is_bounded(seconds: str) -> None:
    """From 0, which is the default, to ten minutes."""
    with pytest.raises(Invalid) as refused:
        load({**NEEDED, "RELAY_SHUTDOWN_DELAY_SECONDS": seconds})
    assert [fault.path for fault in refused.value.faults] == [("RELAY_SHUTDOWN_DELAY_SECONDS",)]
    assert load(NEEDED).shutdown_delay_seconds == 0
    assert load({**NEEDED, "RELAY_SHUTDOWN_DELAY_SECONDS": "0"}).shutdown_delay_seconds == 0


@pytest.mark.parametrize("share", ["0", "1", "75", "much", "-0.5", "nan"])
def test_a_share_is_a_share(share: str) -> None:
    """What is none is refused, by the name of the variable."""
    with pytest.raises(Invalid, match="RELAY_MEMORY_SHED_SHARE: must be a share"):
        load({**NEEDED, "RELAY_MEMORY_SHED_SHARE": share})


@pytest.mark.parametrize("shares", [{"SHED": "0.9"}, {"STOP": "0.72"}, {"SHED": "0.78", "STOP": "0.75"}])
def test_history_is_shed_before_polling_stops(shares: dict[str, str]) -> None:
    """The other way round, sources would stop for the sake of history; it is told beside all other faults."""
    wrong = {f"RELAY_MEMORY_{name}_SHARE": share for name, share in shares.items()}
    with pytest.raises(Invalid) as refused:
        load({**NEEDED, **wrong, "RELAY_PORT": "many"})
    assert [fault.path for fault in refused.value.faults] == [("RELAY_PORT",), ("RELAY_MEMORY_STOP_SHARE",)]
    assert load({**NEEDED, "RELAY_MEMORY_SHED_SHARE": "0.8"}).memory_stop_share == 0.8


@pytest.mark.parametrize("names", [("MEMORY_RESUME_SHARE", "MEMORY_STOP_SHARE", "0.8"), BACKLOG])
def test_polling_continues_below_where_it_stops(names: tuple[str, str, str]) -> None:
    """Else it would stop and start each second."""
    resume, stop, at = names
    with pytest.raises(Invalid, match=f"RELAY_{resume}: must be below RELAY_{stop}"):
        load({**NEEDED, f"RELAY_{stop}": at, f"RELAY_{resume}": at})


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://bucket/some/where", ""), ("gs://bucket", ""), ("az://container/prefix", ""), ("file:///var/lib/x", ""),
        ("https://bucket.s3.amazonaws.com", "must be a URL like"), ("/var/lib/x", "must be a URL like"),
        ("file://var/lib/x", "three slashes"), ("file:///", "three slashes"), ("file:relative", "three slashes"),
        ("s3:///prefix", "must name a bucket"), ("s3://key:secret@bucket", "must not have credentials"),
        ("s3://bucket?endpoint=x", "must not have credentials"), ("s3://bucket#x", "must not have credentials"),
    ],
)  # fmt: skip
def test_the_place_of_checkpoints(url: str, said: str) -> None:
    """A folder or a bucket, and never a secret: the URL stands in logs."""
    if not said:
        assert load({**NEEDED, "RELAY_CHECKPOINT_URL": url}).checkpoint_url == url
        return
    with pytest.raises(Invalid, match=f"RELAY_CHECKPOINT_URL: .*{said}"):
        load({**NEEDED, "RELAY_CHECKPOINT_URL": url})


CANARY = "c4n4ry-S3cret"
GOOD_URLS = [
    "redis://localhost",
    "redis://localhost/",
    "redis://localhost:6379/0",
    "redis://:p%40ss%2F@localhost:6379/15",
    "redis://user:p%23@[::1]:6379/0?protocol=2",
    "rediss://user:pass@redis.example.com:6380/0?ssl_cert_reqs=required",
    "redis+sentinel://one.example:26379,two.example/mymaster",
    "rediss+sentinel://:p%40ss@[::1]:26379,[::2]/my-master.1/3?sentinel_username=u&sentinel_password=p%2C&protocol=2",
    "redis+cluster://one.example:7000,two.example:7001",
    "rediss+cluster://user:pass@one.example/0?ssl_cert_reqs=none",
    "unix:///run/redis.sock",
    "unix://user:pass@/run/redis.sock?db=3",
]
BAD_URLS = [
    ("http://HOST", "must be a URL like redis://"),
    ("HOST:6379", "must be a URL like redis://"),
    ("HOST", "must be a URL like redis://"),
    ("redis:/HOST", "must name a host"),
    ("redis://", "must name a host"),
    ("redis://:6379/0", "must name a host"),
    ("redis://HOST/zero", "number of a database"),
    ("redis://HOST/-1", "number of a database"),
    ("redis://HOST/0/1", "number of a database"),
    ("redis://HOST/١", "percent-encode"),
    ("redis://HOST:port/0", "port"),
    ("redis://HOST:99999/0", "port"),
    ("redis://HOST:0/0", "port"),
    ("redis://u:PASS#WORD@HOST:6379/0", "# is %23"),
    ("redis://u:PASS/WORD@HOST:6379/0", "/ is %2F"),
    ("redis://u:PASS?WORD@HOST:6379/0", "? is %3F"),
    ("redis://u:PASS[WORD@HOST:6379/0", "percent-encode"),
    ("redis://u:PASS WORD@HOST:6379/0", "spaces"),
    ("redis://u:PASS\x07@HOST:6379/0", "percent-encode"),
    ("redis://HOST/0?timeout=PASS", "parameter that is not known"),
    ("redis://HOST/0?protocol=4", "2 or 3"),
    ("redis://HOST/0?ssl_ca_certs=/etc/ca.pem", "needs rediss://"),
    ("rediss://HOST/0?ssl_ca_certs=/no/such/file", "path of a file"),
    ("rediss://HOST/0?ssl_cert_reqs=maybe", "none or optional or required"),
    ("redis://HOST/0?db=x", "number"),
    ("redis://HOST/0?protocol=2&protocol=3", "twice"),
    ("redis+sentinel://HOST:26379", "name the master"),
    ("redis+sentinel://HOST:26379/", "name the master"),
    ("redis+sentinel://HOST:26379/PASS%20WORD", "name of a master"),
    ("redis+sentinel://HOST:26379/m/x", "number of a database"),
    ("redis+sentinel://HOST:26379,/m", "must name a host"),
    ("redis+sentinel://HOST:26379,HOST:port/m", "port from 1 to 65535"),
    ("redis+sentinel://HOST/m?ssl_ca_certs=/etc/ca.pem", "needs rediss://"),
    ("redis+sentinel://u:PASS,WORD#@HOST/m", "# is %23"),
    ("redis://HOST/0?sentinel_password=PASS", "parameter that is not known"),
    ("redis+cluster://HOST?sentinel_password=PASS", "parameter that is not known"),
    ("redis+cluster://HOST/1", "database other than 0"),
    ("redis+cluster://HOST?db=1", "database other than 0"),
    ("redis+cluster://" + "HOST," * 100 + "HOST", "more than 100 hosts"),
    ("redis+other://HOST", "must be a URL like redis://"),
    ("redis+cluster:HOST", "must name a host"),
    ("unix://", "path of a socket"),
    ("unix://run/redis.sock", "three slashes"),
    ("unix:///", "path of a socket"),
]


@pytest.mark.parametrize("url", GOOD_URLS)
def test_a_redis_url_is_taken(url: str) -> None:
    found = load({**NEEDED, "RELAY_REDIS_URL": f" {url}\n"}).redis_url
    assert found is not None
    assert found.reveal() == url


@pytest.mark.parametrize(("url", "said"), BAD_URLS)
def test_a_redis_url_is_refused_without_being_quoted(url: str, said: str) -> None:
    text = url.replace("HOST", f"{CANARY}.example").replace("PASS", CANARY).replace("WORD", CANARY[::-1])
    with pytest.raises(Invalid) as refused:
        load({**NEEDED, "RELAY_REDIS_URL": text})
    assert said in str(refused.value)
    assert CANARY not in str(refused.value)
    assert CANARY[::-1] not in str(refused.value)


WRONG = [
    "nan",
    "inf",
    "1e400",
    "١٢",
    "1_000",
    "+5",
    "-1",
    "0x10",
    "1,2;3",
    "9" * 5000,
    "10.1.2.3/8",
    "[::1",
    "a b",
    "\x00",
]


@pytest.mark.parametrize("setting", dataclasses.fields(Settings), ids=lambda setting: setting.name)
@pytest.mark.parametrize("wrong", [CANARY + "\u00e9 \x01@#?/", *WRONG])
def test_no_setting_is_ever_quoted(setting: "dataclasses.Field[object]", wrong: str) -> None:
    """A secret may stand in the wrong variable. Whatever it is: there is no other error, and it is not in it."""
    said = shown({**NEEDED, variable(setting.name): wrong})
    assert CANARY not in said or setting.name in ("data_dir", "host")
    assert wrong not in said or len(wrong) < 4 or setting.name in ("data_dir", "host")


def shown(environ: dict[str, str]) -> str:
    """What is printed of settings, right or wrong."""
    try:
        return repr(load(environ))
    except Invalid as error:
        return str(error)


@pytest.mark.parametrize("space", [" ", "\n", "\r\n", "\t", " \n "])
def test_white_space_around_a_setting_is_dropped(space: str) -> None:
    """`echo key | base64` ends with a line break, and so does a file that a Secret was made from."""
    found = load({name: f"{space}{value}{space}" for name, value in NEEDED.items()})
    assert found.admin_key is not None
    assert found.admin_key.reveal() == NEEDED["RELAY_ADMIN_KEY"]
    assert found.encryption_key[0].reveal() == NEEDED["RELAY_ENCRYPTION_KEY"]
    with pytest.raises(Invalid, match="RELAY_ADMIN_KEY: is required"):
        load({**NEEDED, "RELAY_ADMIN_KEY": space})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("NAMESERVERS", "dns.example:53", "addresses of name servers"),
        ("NAMESERVERS", "10.0.0.10:dns", "whole number"),
        ("NAMESERVERS", "10.0.0.10,10.0.0.x", "entry 2"),
        ("NAMESERVERS", "[fd00::10:53", "addresses of name servers"),
        ("EGRESS_PROXY", "proxy:3128", "URL of a proxy"),
        ("EGRESS_PROXY", "socks5://proxy:1080", "URL of a proxy"),
        ("EGRESS_PROXY", "http://proxy:3128/path", "nothing behind its port"),
        ("EGRESS_PROXY", "http://u:p/w@proxy:3128", "URL of a proxy|nothing behind its port"),
        ("EGRESS_CA_FILE", "/no/such/file.pem", "readable file with certificates"),
        ("EGRESS_CA_FILE", __file__, "readable file with certificates"),
        ("EGRESS_CA_FILE", "/etc", "readable file with certificates"),
        ("EGRESS_ALLOW", "10.1.2.3/16", "bits behind the prefix"),
        ("EGRESS_ALLOW", "10.0.0.0/8,ten", "entry 2"),
        ("EGRESS_PORTS", "443,0", "from 1 to 65535"),
        ("HOST", "http://0.0.0.0", "without a scheme"),
        ("HOST", "0.0.0.0:8080", "without a scheme or a port"),
        ("PORT", "65536", "from 0 to 65535"),
        ("RETRY_SCHEDULE", ",", "at least one"),
        ("RETRY_SCHEDULE", "5,soon", "entry 2"),
        ("ADMIN_KEY", "sixteen letters, and blanks", "without spaces"),
        ("ADMIN_KEY", "short", "at least 16"),
        ("ENCRYPTION_KEY", "A" * 42, "32 bytes in base64"),
        ("ENCRYPTION_KEY", "A" * 43 + "=,x", "entry 2"),
        ("ENCRYPTION_KEY", ",", "32 bytes in base64"),
        ("DATA_DIR", "a\x07b", "control characters"),
    ],
)
def test_what_is_wrong_is_said(name: str, value: str, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        load({**NEEDED, f"RELAY_{name}": value})


@pytest.mark.parametrize("value", ["10.0.0.10", "10.0.0.10:53,[fd00::10]:5353", "fd00::10", "[fd00::10]"])
def test_name_servers_are_taken(value: str) -> None:
    assert load({**NEEDED, "RELAY_NAMESERVERS": value}).nameservers == tuple(value.split(","))


SERVICE = {
    "RELAY_PORT": "tcp://10.96.12.4:8080",
    "RELAY_SERVICE_HOST": "10.96.12.4",
    "RELAY_SERVICE_PORT": "8080",
    "RELAY_SERVICE_PORT_HTTP": "8080",
    "RELAY_PORT_8080_TCP": "tcp://10.96.12.4:8080",
    "RELAY_PORT_8080_TCP_ADDR": "10.96.12.4",
    "RELAY_PORT_8080_TCP_PORT": "8080",
    "RELAY_PORT_8080_TCP_PROTO": "tcp",
    "RELAY_WORKER_PORT": "tcp://10.96.12.5:8081",
    "RELAY_API_SERVICE_HOST": "10.96.12.4",
    "RELAY_API_PORT": "tcp://10.96.12.4:8080",
    "RELAY_API_PORT_443_UDP_ADDR": "10.96.12.4",
}


def test_what_kubernetes_made_from_a_service_is_no_setting() -> None:
    """One that is called relay, relay-api or relay-worker; whoever starts warns of it."""
    found = load({**NEEDED, **SERVICE})
    assert (found.port, found.worker_port) == (8080, 8081)
    assert ignored({**NEEDED, **SERVICE}) == sorted(SERVICE)
    assert ignored({**NEEDED, "RELAY_PORT": "9000", "RELAY_HOST": "::"}) == []
    assert load({**NEEDED, "RELAY_PORT": "9000"}).port == 9000
    for typo in ("RELAY_PROT", "RELAY_SERVICE", "RELAY_PORT_X_TCP", "RELAY_API_KEYS"):
        with pytest.raises(Invalid, match=f"{typo}: is no setting"):
            load({**NEEDED, typo: "x"})


@pytest.mark.parametrize("value", ["*", "https://console.example", "http://localhost:3000,https://A.example"])
def test_origins_are_read(value: str) -> None:
    """As browsers send them: in lower case."""
    assert load({**NEEDED, "RELAY_CORS_ORIGINS": value}).cors_origins == tuple(value.lower().split(","))


@pytest.mark.parametrize(
    "value",
    [
        "console.example",
        "https://",
        "https://a.example/",
        "https://u@a.example",
        "ftp://a.example",
        "https://a.example?x",
    ],
)
def test_what_is_no_origin_is_refused(value: str) -> None:
    """A path, a user or another scheme is never part of one."""
    with pytest.raises(Invalid, match="RELAY_CORS_ORIGINS: must be origins"):
        load({**NEEDED, "RELAY_CORS_ORIGINS": value})


@pytest.mark.parametrize("value", ["https://relay.example.com", "https://Relay.example.com/", "http://127.0.0.1:8080"])
def test_a_public_url_is_an_origin(value: str) -> None:
    """Paths of links are put behind it as they are."""
    assert load({**NEEDED, "RELAY_PUBLIC_URL": value}).public_url == value.lower().rstrip("/")


@pytest.mark.parametrize("value", ["*", "relay.example.com", "https://a.example/api", "https://u:p@a.example"])
def test_what_is_no_public_url_is_refused(value: str) -> None:
    """With what it must be."""
    with pytest.raises(Invalid, match="RELAY_PUBLIC_URL: must be"):
        load({**NEEDED, "RELAY_PUBLIC_URL": value})
