"""Schemas of the custom resources that the chart creates: the fields that it may set, by the projects' references."""

from typing import Any

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
COUNT: Schema = {"type": "integer", "minimum": 0}
DURATION: Schema = {
    "type": "string",
    "pattern": "^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$",
}
ANYTHING: Schema = {"type": "array", "items": {"type": "object"}}


def _object(required: str = "", /, **properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def _list(items: Schema, least: int = 1) -> Schema:
    return {"type": "array", "items": items, "minItems": least}


def _resource(spec: Schema) -> Schema:
    metadata = _object("name labels", name=TEXT, namespace=TEXT, labels=TEXTS, annotations=TEXTS)
    return _object("apiVersion kind metadata spec", apiVersion=TEXT, kind=TEXT, metadata=metadata, spec=spec)


# prometheus-operator, API reference of monitoring.coreos.com/v1
SERVICE_MONITOR = _object(
    "endpoints selector",
    jobLabel=TEXT,
    namespaceSelector=_object(matchNames=_list(TEXT)),
    selector=_object(matchLabels=TEXTS, matchExpressions=ANYTHING),
    endpoints=_list(
        _object(
            "port",
            port=TEXT,
            path=TEXT,
            interval=DURATION,
            scrapeTimeout=DURATION,
            honorLabels={"type": "boolean"},
            relabelings=ANYTHING,
            metricRelabelings=ANYTHING,
        )
    ),
)
RULE = _object(
    "expr",
    alert=TEXT,
    record=TEXT,
    expr={"type": ["string", "integer"]},
    **{"for": DURATION},
    keep_firing_for=DURATION,
    labels=TEXTS,
    annotations=TEXTS,
)
PROMETHEUS_RULE = _object(
    "groups", groups=_list(_object("name rules", name=TEXT, interval=DURATION, limit=COUNT, rules=_list(RULE)))
)

# KEDA, API reference of keda.sh/v1alpha1
SCALED_OBJECT = _object(
    "scaleTargetRef triggers",
    scaleTargetRef=_object("name", name=TEXT),
    minReplicaCount=COUNT,
    maxReplicaCount=COUNT,
    pollingInterval=COUNT,
    cooldownPeriod=COUNT,
    fallback=_object("failureThreshold replicas", failureThreshold=COUNT, replicas=COUNT, behavior=TEXT),
    advanced=_object(
        horizontalPodAutoscalerConfig=_object(
            behavior=_object(scaleUp={"type": "object"}, scaleDown={"type": "object"})
        )
    ),
    triggers=_list(
        _object(
            "type metadata",
            type=TEXT,
            name=TEXT,
            metricType={"enum": ["AverageValue", "Value", "Utilization"]},
            metadata=TEXTS,
            authenticationRef=_object("name", name=TEXT, kind=TEXT),
        )
    ),
)

# Gateway API, reference of gateway.networking.k8s.io/v1
HTTP_ROUTE = _object(
    "parentRefs rules",
    parentRefs=_list(_object("name", group=TEXT, kind=TEXT, name=TEXT, namespace=TEXT, sectionName=TEXT, port=COUNT)),
    hostnames=_list(TEXT),
    rules=_list(
        _object(
            matches=_list({"type": "object"}),
            filters=ANYTHING,
            timeouts=_object(request=DURATION, backendRequest=DURATION),
            backendRefs=_list(_object("name port", name=TEXT, port=COUNT, namespace=TEXT, weight=COUNT)),
        )
    ),
)

CUSTOM = {
    ("monitoring.coreos.com/v1", "ServiceMonitor"): _resource(SERVICE_MONITOR),
    ("monitoring.coreos.com/v1", "PrometheusRule"): _resource(PROMETHEUS_RULE),
    ("keda.sh/v1alpha1", "ScaledObject"): _resource(SCALED_OBJECT),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): _resource(HTTP_ROUTE),
}
"""By `apiVersion` and `kind`. Any other kind must be one of Kubernetes itself."""
