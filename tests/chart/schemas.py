"""Validation of objects, for each version of Kubernetes. Fields that a version does not know are faults."""

import functools
import json
import zipfile
from typing import Any

import jsonschema_rs

from tests.chart.custom_resources import CUSTOM
from tests.chart.rendering import Object
from tests.chart.tools import find_schemas

DEFINITIONS = "k8s:///api/_definitions.json"
"""The references between the schemas lead there."""


def faults(each: Object, minor: int) -> list[str]:
    """What is wrong with an object on Kubernetes 1.`minor`, with the path of the field. [], if nothing is."""
    validator = _validator(each["apiVersion"], each["kind"], minor)
    return [f"{'.'.join(map(str, error.instance_path))}: {error.message}" for error in validator.iter_errors(each)]


@functools.cache
def _validator(version: str, kind: str, minor: int) -> Any:
    if (version, kind) in CUSTOM:
        return jsonschema_rs.validator_for(CUSTOM[version, kind])
    names, registry = _definitions(minor)
    return jsonschema_rs.validator_for({"$ref": f"{DEFINITIONS}#/$defs/{names[version, kind]}"}, registry=registry)


@functools.cache
def _definitions(minor: int) -> tuple[dict[tuple[str, str], str], Any]:
    """The names of all kinds of a version, and their schemas."""
    wheel = find_schemas()
    assert wheel is not None
    path = f"kubernetes_validate/kubernetes-json-schema/v1.{minor}.0-local-strict/_definitions.json"
    document = json.loads(zipfile.ZipFile(wheel).read(path))
    document["$id"] = DEFINITIONS
    names = {}
    for name, definition in document["$defs"].items():
        for kind in definition.get("x-kubernetes-group-version-kind", []):
            names["/".join(filter(None, (kind["group"], kind["version"]))), kind["kind"]] = name
    return names, jsonschema_rs.Registry([(DEFINITIONS, document)])
