"""What is made from the code for operators: docs/configuration.md, and the settings and addresses of the chart.

`python -m relay.cli.configuration` writes the three files.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any, get_args

from relay.config import Settings, variable
from relay.config.client_variables import CLIENT_VARIABLES
from relay.domain import addresses
from relay.domain.model import Secret
from relay.store.needs import GRANT

PAGE = Path("docs/configuration.md")
CHART_SCHEMA = Path("helm/values.schema.json")
CHART_ADDRESSES = Path("helm/files/forbidden.yaml")
CHART_SETS = {"data_dir", "port", "worker_port", "metrics_port", "tracing"}
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
CLIENT = """
## The variables of the command line

Commands that talk to the API, such as `relay source`, read these variables. Services ignore them. [The page about the
command line](cli.md#where-the-relay-is) describes profiles.

| variable | what it does |
|---|---|
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

### What the relay checks at the start

| setting of Redis | what the relay needs | otherwise |
|---|---|---|
| version | 7.0 or newer, or Valkey | the relay does not start |
| `maxmemory-policy` | `noeviction` | the relay does not start |
| `appendonly` | `yes` | a warning: configuration and undelivered events are lost when Redis ends |
| `appendfsync` | `everysec` or `always` | a warning: a power failure loses more than a second |
| `maxmemory` | a limit below the memory of the server | a warning: the relay cannot see when Redis is nearly full |
| `requirepass`, or ACL users and `user default off` | on other machines: no access without a password | a warning |
| TLS | on other machines: `rediss://`, with a certificate that is checked | a note, or a warning if it is unchecked |

The warnings are `redis_setting_wrong` in [the log](logs.md). For `appendfsync`, the user also needs `+config|get`.
Without it, the relay reads the other settings from `INFO`, and `redis_settings_unchecked` names those that it could not
see. [The performance page](performance.md#how-much-memory-the-relay-needs) says how much memory the relay needs.

## Traces

With `RELAY_TRACING=otlp`, each message has one trace. It begins with the poll, or the request, that brought the
message, and has a span for each attempt to deliver it. Retries, replays and other workers add to the same trace,
because its id follows from the `webhook-id`. The receiver gets a `traceparent` header (W3C Trace Context), unless the
endpoint has one of its own.

OpenTelemetry's variables say where traces go, for the API and the workers:

| variable | what it does |
|---|---|
| `OTEL_EXPORTER_OTLP_ENDPOINT` | the collector, such as `http://collector:4318`. The relay sends protobuf over HTTP |
| `OTEL_EXPORTER_OTLP_HEADERS`, `…_CERTIFICATE`, `…_TIMEOUT`, `…_COMPRESSION` | how to send |
| `OTEL_TRACES_SAMPLER=traceidratio`, `OTEL_TRACES_SAMPLER_ARG=0.1` | the share of traces. The default is all of them |
| `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | names. The default service is `infinity-event-relay` |
| `OTEL_BSP_MAX_QUEUE_SIZE`, `OTEL_BSP_SCHEDULE_DELAY`, … | how many spans wait. The relay drops further ones |
| `OTEL_SDK_DISABLED=true`, `OTEL_TRACES_EXPORTER=none` | no traces |

Spans have ids, statuses and durations, and the host of the receiver. They have no rows, bodies, headers, paths or phone
numbers.
The image has what traces need. Elsewhere, install `infinity-event-relay[tracing]`.

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
    client = (f"| `{name}` | {text} |\n" for name, text in CLIENT_VARIABLES.items())
    return HEAD + "".join(rows) + CLIENT + "".join(client) + TAIL


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
