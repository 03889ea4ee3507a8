{{/* Combinations of values that the schema cannot refuse. Each message says what is wrong and what to do. */}}
{{- define "relay.checks" -}}
{{- include "relay.checks.secret" . -}}
{{- include "relay.checks.valkey" . -}}
{{- include "relay.checks.pods" . -}}
{{- include "relay.checks.reach" . -}}
{{- include "relay.checks.tracing" . -}}
{{- include "relay.checks.labels" . -}}
{{- include "relay.checks.networks" . -}}
{{- include "relay.checks.apply" . -}}
{{- end -}}

{{- define "relay.checks.apply" -}}
{{- $apply := .Values.apply -}}
{{- if and $apply.declarations $apply.existingConfigMap }}{{ fail "apply.declarations and apply.existingConfigMap exclude each other: set one of them" }}{{ end -}}
{{- if and $apply.enabled (not (or $apply.declarations $apply.existingConfigMap)) }}{{ fail "apply.enabled requires apply.declarations, or apply.existingConfigMap" }}{{ end -}}
{{- if and $apply.declarations (ne $apply.key "relay.yaml") }}{{ fail "apply.key must be relay.yaml with apply.declarations, because that is the key in the ConfigMap of the chart" }}{{ end -}}
{{- end -}}

{{- define "relay.checks.secret" -}}
{{- $v := .Values -}}
{{- $given := list -}}
{{- range $name, $value := $v.secret }}{{ if $value }}{{ $given = append $given (printf "secret.%s" $name) }}{{ end }}{{ end -}}
{{- if and $v.existingSecret $given -}}
{{- fail (printf "existingSecret and %s exclude each other: put the value into the Secret %s, or leave existingSecret empty" (join ", " $given) $v.existingSecret) -}}
{{- end -}}
{{- if not $v.existingSecret -}}
{{- $how := "Create a Secret as docs/kubernetes.md describes and set existingSecret to its name. To try the chart, set" -}}
{{- if not $v.secret.adminKey }}{{ fail (printf "RELAY_ADMIN_KEY is required. %s secret.adminKey (openssl rand -hex 24)" $how) }}{{ end -}}
{{- if not $v.secret.encryptionKey }}{{ fail (printf "RELAY_ENCRYPTION_KEY is required. %s secret.encryptionKey (openssl rand -base64 32)" $how) }}{{ end -}}
{{- if not (or $v.secret.redisUrl $v.valkey.enabled) }}{{ fail (printf "RELAY_REDIS_URL is required, because the image has no Redis. %s secret.redisUrl, or valkey.enabled" $how) }}{{ end -}}
{{- end -}}
{{- range $name := list "egressCa" "redisCa" -}}
{{- $ca := index $v $name -}}
{{- if and $ca.existingConfigMap $ca.existingSecret }}{{ fail (printf "%s.existingConfigMap and %s.existingSecret exclude each other: set one of them" $name $name) }}{{ end -}}
{{- end -}}
{{- if and $v.egressCa.existingConfigMap (hasKey $v.settings "RELAY_EGRESS_CA_FILE") }}{{ fail "egressCa and settings.RELAY_EGRESS_CA_FILE exclude each other: set one of them" }}{{ end -}}
{{- if and $v.checkpoint.existingClaim (hasKey $v.settings "RELAY_CHECKPOINT_URL") }}{{ fail "checkpoint.existingClaim and settings.RELAY_CHECKPOINT_URL exclude each other: with a claim, the checkpoint is a folder on it" }}{{ end -}}
{{- end -}}

{{- define "relay.checks.valkey" -}}
{{- $v := .Values -}}
{{- if $v.valkey.enabled -}}
{{- if $v.secret.redisUrl }}{{ fail "valkey.enabled and secret.redisUrl exclude each other: the relay uses one Redis server" }}{{ end -}}
{{- if and $v.valkey.existingSecret $v.valkey.password }}{{ fail "valkey.existingSecret and valkey.password exclude each other: set one of them" }}{{ end -}}
{{- if not (or $v.valkey.existingSecret $v.valkey.password) }}{{ fail "valkey.enabled requires a password: set valkey.existingSecret to the name of a Secret with the key valkey-password. To try the chart, set valkey.password (openssl rand -hex 24)" }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "relay.checks.pods" -}}
{{- $v := .Values -}}
{{- range $name := list "api" "worker" -}}
{{- $part := index $v $name -}}
{{- if gt (int $part.autoscaling.minReplicas) (int $part.autoscaling.maxReplicas) }}{{ fail (printf "%s.autoscaling.minReplicas (%v) must not be above maxReplicas (%v)" $name $part.autoscaling.minReplicas $part.autoscaling.maxReplicas) }}{{ end -}}
{{- $budget := $part.podDisruptionBudget -}}
{{- if and (ne (toString $budget.maxUnavailable) "") (ne (toString $budget.minAvailable) "") }}{{ fail (printf "%s.podDisruptionBudget.maxUnavailable and minAvailable exclude each other: set one of them" $name) }}{{ end -}}
{{- if and $budget.enabled (kindIs "float64" $budget.minAvailable) (ge (int $budget.minAvailable) (int (include "relay.fewestPods" $part))) }}{{ fail (printf "%s.podDisruptionBudget.minAvailable (%v) must be below the smallest number of pods (%s), or no node can be drained" $name $budget.minAvailable (include "relay.fewestPods" $part)) }}{{ end -}}
{{- if and $v.metrics.enabled (eq (int $part.port) (int $v.metrics.port)) }}{{ fail (printf "%s.port and metrics.port are both %v: give each its own port" $name $part.port) }}{{ end -}}
{{- end -}}
{{- $api := $v.api.autoscaling -}}
{{- if and $api.enabled (not (or $api.targetCPUUtilizationPercentage $api.targetMemoryUtilizationPercentage $api.metrics)) }}{{ fail "api.autoscaling.enabled requires a target: set targetCPUUtilizationPercentage, targetMemoryUtilizationPercentage or metrics" }}{{ end -}}
{{- if and $v.worker.autoscaling.enabled (not (or $v.worker.autoscaling.serverAddress $v.worker.autoscaling.triggers)) }}{{ fail "worker.autoscaling.enabled requires worker.autoscaling.serverAddress, the URL of Prometheus, such as http://prometheus-operated.monitoring.svc:9090" }}{{ end -}}
{{- if and (eq $v.common.dnsPolicy "None") (not $v.common.dnsConfig.nameservers) }}{{ fail "common.dnsPolicy None requires common.dnsConfig.nameservers" }}{{ end -}}
{{- $attempt := int (include "relay.attemptTimeout" .) -}}
{{- if lt (int (include "relay.worker.gracePeriod" .)) (add $attempt 10 | int) }}{{ fail (printf "worker.terminationGracePeriodSeconds (%v) must be at least RELAY_ATTEMPT_TIMEOUT_SECONDS + 10 (%v), or workers are killed with attempts in flight" $v.worker.terminationGracePeriodSeconds (add $attempt 10)) }}{{ end -}}
{{- $least := add (include "relay.api.servesOn" .) 14 | int -}}
{{- if lt (int (include "relay.api.gracePeriod" .)) $least }}{{ fail (printf "api.terminationGracePeriodSeconds (%v) must be at least api.preStopSeconds + RELAY_SHUTDOWN_DELAY_SECONDS + 14 (%v), or the API is killed with requests in flight" $v.api.terminationGracePeriodSeconds $least) }}{{ end -}}
{{- end -}}

{{- define "relay.checks.reach" -}}
{{- $v := .Values -}}
{{- if and $v.ingress.enabled (not $v.ingress.hosts) }}{{ fail "ingress.enabled requires ingress.hosts, such as [{host: relay.example.com}]" }}{{ end -}}
{{- if and $v.httpRoute.enabled (not $v.httpRoute.parentRefs) }}{{ fail "httpRoute.enabled requires httpRoute.parentRefs, such as [{name: gateway, namespace: gateways}]" }}{{ end -}}
{{- if and $v.service.nodePort (eq $v.service.type "ClusterIP") }}{{ fail "service.nodePort requires service.type NodePort or LoadBalancer" }}{{ end -}}
{{- if not $v.metrics.enabled -}}
{{- if $v.metrics.serviceMonitor.enabled }}{{ fail "metrics.serviceMonitor.enabled requires metrics.enabled" }}{{ end -}}
{{- if $v.worker.autoscaling.enabled }}{{ fail "worker.autoscaling.enabled requires metrics.enabled, because KEDA scales by a metric of the relay" }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "relay.checks.tracing" -}}
{{- $tracing := .Values.tracing -}}
{{- $name := "OTEL_EXPORTER_OTLP_ENDPOINT" -}}
{{- if $tracing.enabled -}}
{{- if not (or $tracing.endpoint $tracing.existingSecret (hasKey $tracing.env $name) (hasKey $tracing.env "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")) }}{{ fail "tracing.enabled requires tracing.endpoint, the URL of a collector, such as http://collector.monitoring.svc:4318" }}{{ end -}}
{{- if and $tracing.endpoint (hasKey $tracing.env $name) }}{{ fail (printf "tracing.endpoint and tracing.env.%s exclude each other: set one of them" $name) }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "relay.checks.labels" -}}
{{- $v := .Values -}}
{{- $own := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "helm.sh/chart" -}}
{{- $all := dict "commonLabels" $v.commonLabels "common.podLabels" $v.common.podLabels "api.podLabels" $v.api.podLabels "worker.podLabels" $v.worker.podLabels "valkey.podLabels" $v.valkey.podLabels -}}
{{- range $value, $labels := $all }}{{ range $name, $_ := $labels -}}
{{- if has $name $own }}{{ fail (printf "%s: the chart sets the label %s itself; nameOverride replaces the name" $value $name) }}{{ end -}}
{{- end }}{{ end -}}
{{- end -}}

{{- define "relay.checks.networks" -}}
{{- $v := .Values -}}
{{- range $name := list "RELAY_EGRESS_ALLOW" "RELAY_EGRESS_DENY" "RELAY_UPSTREAM_ALLOW" "RELAY_EGRESS_NAT64" -}}
{{- range $network := splitList "," (index $v.settings $name | default "") -}}
{{- $network = trim $network -}}
{{- if and $network (not (regexMatch "^([0-9]{1,3}(\\.[0-9]{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:.]*)(/[0-9]{1,3})?$" $network)) }}{{ fail (printf "settings.%s: %q is not a network. Write CIDRs such as 10.20.0.0/16, separated by commas" $name $network) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- range $port := splitList "," ($v.settings.RELAY_EGRESS_PORTS | default "443") -}}
{{- if not (regexMatch "^ *[0-9]{1,5} *$" $port) }}{{ fail (printf "settings.RELAY_EGRESS_PORTS: %q is not a port. Write ports such as 443, separated by commas" $port) }}{{ end -}}
{{- end -}}
{{- end -}}
