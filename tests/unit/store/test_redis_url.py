"""URLs of Sentinels and clusters are taken apart into what redis-py can read."""

from relay.store.redis_url import read_url


def test_one_server_is_left_as_it_is() -> None:
    url = "rediss://user:p%40ss@host:6380/3?ssl_ca_certs=/ca.pem"
    read = read_url(url)
    assert (read.kind, read.singles, read.hosts) == ("server", (url,), [("host", 6380)])


def test_sentinels_have_a_master_and_credentials_of_their_own() -> None:
    """What is for the servers goes with each host; what is for the Sentinels does not."""
    read = read_url("rediss+sentinel://u:p%2C@a,b:26380/my-master/2?sentinel_password=s%26&protocol=2")
    assert (read.kind, read.service) == ("sentinel", "my-master")
    assert read.hosts == [("a", 26_379), ("b", 26_380)]
    assert (read.sentinel_user, read.sentinel_password) == (None, "s&")
    assert read.singles[1] == "rediss://u:p%2C@b:26380/2?protocol=2"


def test_a_cluster_has_nodes() -> None:
    """With addresses of every form."""
    read = read_url("redis+cluster://:p@[::1]:7000,10.0.0.1,node.example:7001")
    assert (read.kind, read.hosts) == ("cluster", [("::1", 7000), ("10.0.0.1", 6379), ("node.example", 7001)])
    assert read.singles[0].startswith("redis://:p@[::1]:7000")
