"""What is made from the code for operators: docs/configuration.md, and the settings and addresses of the chart.

`python -m relay.cli.configuration` writes the three files.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any, get_args

from relay.config import Settings, variable
from relay.domain import addresses
from relay.domain.model import Secret
from relay.store.needs import GRANT

PAGE = Path("docs/configuration.md")
CHART_SCHEMA = Path("helm/values.schema.json")
CHART_ADDRESSES = Path("helm/files/forbidden.yaml")
CHART_SETS = {"data_dir", "port", "worker_port", "metrics_port"}
"""What the chart sets itself, by values of their own or not at all."""
HEAD = """# Settings

`python -m relay.cli.configuration` generates this page from `relay/config/`. A test fails if it is not current.

The API and the workers read the same variables. They do not start if a name that begins with `RELAY_` is not
listed here, or if a value is not allowed. The message lists all faults. An empty value counts as not set. Variables
that Kubernetes creates for a Service called `relay` are ignored with a warning.

```sh
export RELAY_ADMIN_KEY=$(openssl rand -hex 24)
export RELAY_ENCRYPTION_KEY=$(openssl rand -base64 32)
```

| variable | default | what it does |
|---|---|---|
"""
TAIL = f"""
## The Redis server

The relay needs Redis 7.0 or newer, or Valkey, with `maxmemory-policy noeviction`. The forms of `RELAY_REDIS_URL` are:

| form | what it is for |
|---|---|
| `redis://user:password@host:6379/0` | TCP. The number at the end is the database |
| `rediss://user:password@host:6380/0?ssl_ca_certs=/etc/ca.pem` | TLS, with a private authority |
| `unix://user:password@/run/redis.sock?db=0` | a socket in the file system |
| `redis+sentinel://user:password@host:26379,host:26379/NAME/0` | the master that Sentinels know as `NAME` |
| `redis+cluster://user:password@host:6379,host:6379` | a cluster. Name some of its nodes |
| `rediss+sentinel://…`, `rediss+cluster://…` | the same with TLS, to the Sentinels too |

Percent-encode special characters in the user name and the password: `/` is `%2F`, `#` is `%23`, `?` is `%3F`, `@` is
`%40`. Add `protocol=2` to the parameters for a server or a proxy that does not support RESP3. With `rediss://`,
`ssl_certfile`, `ssl_keyfile`, `ssl_cert_reqs` and `ssl_check_hostname` are allowed too.

### Sentinel

User and password are those of the Redis servers. If the Sentinels have others, add `sentinel_username` and
`sentinel_password` to the parameters. Their user needs `+sentinel|master +sentinel|masters`.

The relay asks the Sentinels for the master at each new connection and every two seconds, and leaves a master that they
replaced. It believes the newest answer of a majority of the hosts, so name all Sentinels. Redis replicates
asynchronously: a failover can lose the newest writes. The relay notices this and polls those rows again, which costs
duplicates. Set `min-replicas-to-write 1`, so that a master without replicas takes no writes that it would lose.

### Cluster

Each source has one slot, so a cluster spreads sources over its nodes, and one source uses one node. Configuration, rate
limits, conditions of endpoints and the queue of jobs have one slot each. The relay finds all nodes by the hosts in the
URL, and follows failovers and moved slots. While a slot moves from node to node, the relay polls and sends nothing for
the source in it. The memory limits apply to the fullest node. All nodes need the same `maxmemory-policy`, the same ACL
user, and clocks that NTP sets. A cluster has no databases other than 0.

### The queue of jobs on another server

The queue tells workers which sources to poll. It holds no events, and losing it loses nothing. It is in
`RELAY_REDIS_URL` unless `RELAY_QUEUE_REDIS_URL` names another server, in any of these forms.

### Access rules

An ACL user needs these rules:

```
ACL SETUSER relay on >password {GRANT}
```

At the start the relay tries every command, key pattern and channel that it uses. It names what the user may not use,
and ends.

## The checkpoint

With `RELAY_CHECKPOINT_URL`, a worker writes every three seconds what a new Redis needs: the configuration with its
secrets, and from where each route is polled again. `RELAY_ENCRYPTION_KEY` encrypts it. If Redis comes back empty or
older, the workers restore it, and [the runbook](runbook.md#redis-came-back-empty) describes what happens. Use a place
of its own for each relay. Only workers and `relay restore` need access to it; the API does not.

| form | credentials |
|---|---|
| `file:///var/lib/relay/checkpoint` | none. Every worker must see the same folder, on another disk than Redis's |
| `s3://bucket/prefix` | `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_REGION`, or the role of the pod |
| `gs://bucket/prefix` | `GOOGLE_APPLICATION_CREDENTIALS`, the path of a key file, or the identity of the pod |
| `az://container/prefix` | `AZURE_STORAGE_ACCOUNT_NAME`, and `AZURE_STORAGE_ACCOUNT_KEY` or the identity of the pod |

For another server with the API of S3, set `AWS_ENDPOINT_URL`.
"""


def render() -> str:
    """The whole page."""
    rows = (
        f"| `{variable(setting.name)}` | {_default(setting)} | {setting.metadata['text']} |\n"
        for setting in dataclasses.fields(Settings)
    )
    return HEAD + "".join(rows) + TAIL


def render_chart_schema(schema: str) -> str:
    """The chart's schema with what `settings` may hold: no secrets, for it becomes a ConfigMap."""
    values = json.loads(schema)
    # Strings only: YAML would make 1.2096e+06 of a large number.
    values["properties"]["settings"]["properties"] = {
        variable(setting.name): {"type": "string", "description": setting.metadata["text"]}
        for setting in dataclasses.fields(Settings)
        if setting.name not in CHART_SETS and Secret not in get_args(setting.type)
    }
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def render_chart_addresses() -> str:
    """The networks that callbacks never reach, for the NetworkPolicies of the chart."""
    lists = {"v4": addresses.FORBIDDEN_V4, "v6": addresses.FORBIDDEN_V6, "metadata": addresses.METADATA}
    lines = ["# `python -m relay.cli.configuration` generates this file from relay/domain/addresses.py."]
    for name, networks in lists.items():
        lines += [f"{name}:", *(f'  - "{network}"' for network in networks)]
    return "\n".join(lines) + "\n"


def _default(setting: "dataclasses.Field[Any]") -> str:
    if setting.metadata["needed"]:
        return "**required**"
    value = setting.default
    if value is None or value == ():
        return "none"
    if isinstance(value, tuple):
        return f"`{','.join(map(_number, value))}`"
    return f"`{_number(value)}`"


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) and value < 1e6 else str(value).removesuffix(".0")


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    CHART_SCHEMA.write_text(render_chart_schema(CHART_SCHEMA.read_text("utf-8")), encoding="utf-8")
    CHART_ADDRESSES.write_text(render_chart_addresses(), encoding="utf-8")
