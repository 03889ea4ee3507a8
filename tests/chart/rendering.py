"""Rendering the chart with a real helm, as objects. Each set of values is rendered once for each test process."""

import functools
import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.chart.tools import ROOT, find_helm

CHART = ROOT / "helm"
FOLDER = Path(__file__).parent / "values"
SETS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
OLDEST, NEWEST = 28, 37
"""The minor versions of Kubernetes 1 that the chart supports."""
Object = dict[str, Any]


class RefusedError(Exception):
    """What helm said."""


class _Loader(yaml.CSafeLoader):
    """Refuses a mapping with a key twice: which of the two counts depends on the reader."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key stands twice in {keys}, {node.start_mark}"
        return super().construct_mapping(node, deep)


def helm(*arguments: str, stdin: str = "") -> str:
    """What helm prints. Raises RefusedError with its message."""
    found = find_helm()
    assert found is not None
    done = subprocess.run([found, *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=50)
    if done.returncode:
        raise RefusedError(done.stderr)
    return done.stdout


@functools.cache
def text_of(name: str, minor: int) -> str:
    """What helm renders for a set of values, on Kubernetes 1.`minor`."""
    return _template("-f", str(FOLDER / f"{name}.yaml"), "--kube-version", f"1.{minor}.0")


@functools.cache
def rendered(name: str, minor: int = OLDEST) -> tuple[Object, ...]:
    """All objects of a set of values, on Kubernetes 1.`minor`. Callers must not change them."""
    return _objects(text_of(name, minor))


def render(values: Object, *, minor: int = NEWEST) -> tuple[Object, ...]:
    """All objects of values. An existing Secret is added if they name none."""
    given = {} if "secret" in values else {"existingSecret": "relay"}
    return _objects(_template("-f", "-", "--kube-version", f"1.{minor}.0", stdin=json.dumps({**given, **values})))


def _template(*arguments: str, stdin: str = "") -> str:
    return helm("template", "events", str(CHART), "--namespace", "crm", *arguments, stdin=stdin)


def _objects(text: str) -> tuple[Object, ...]:
    return tuple(each for each in yaml.load_all(text, _Loader) if each)


def one(objects: tuple[Object, ...], kind: str, suffix: str = "") -> Object:
    """The only object of a kind whose name ends so. Fails if there is none, or another one."""
    (found,) = (each for each in objects if each["kind"] == kind and each["metadata"]["name"].endswith(suffix))
    return found


def pod_specs(objects: tuple[Object, ...]) -> list[Object]:
    """The specification of each pod: of workloads, and of pods."""
    templates = [each["spec"]["template"]["spec"] for each in objects if "template" in each.get("spec", {})]
    return templates + [each["spec"] for each in objects if each["kind"] == "Pod"]
