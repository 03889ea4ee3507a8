{{/* Egress rules that follow the relay's own guard: docs/egress.md, relay/domain/addresses.py. */}}

{{/* The networks of a setting, as JSON {"list": […]}; a bare address gets its prefix length. */}}
{{- define "relay.networks" -}}
{{- $list := list -}}
{{- range $network := splitList "," (. | default "") -}}
{{- $network = trim $network -}}
{{- if and $network (not (contains "/" $network)) }}{{ $network = printf "%s/%s" $network (ternary "128" "32" (contains ":" $network)) }}{{ end -}}
{{- if $network }}{{ $list = append $list $network }}{{ end -}}
{{- end -}}
{{- dict "list" $list | toJson -}}
{{- end -}}

{{/* The number of an IPv4 network: its address without the last bits, which `bits` counts. Call it with dict "network" … "bits" …. */}}
{{- define "relay.v4.number" -}}
{{- $number := 0 -}}
{{- range $part := splitList "." (first (splitList "/" .network)) }}{{ $number = add (mul $number 256) (int $part) }}{{ end -}}
{{- range until (int .bits) }}{{ $number = div $number 2 }}{{ end -}}
{{- $number -}}
{{- end -}}

{{/* "true" if the IPv4 network `outer` contains `inner`, or is equal to it. */}}
{{- define "relay.v4.contains" -}}
{{- $length := int (last (splitList "/" .outer)) -}}
{{- if le $length (int (last (splitList "/" .inner))) -}}
{{- $bits := sub 32 $length -}}
{{- if eq (include "relay.v4.number" (dict "network" .outer "bits" $bits)) (include "relay.v4.number" (dict "network" .inner "bits" $bits)) }}true{{ end -}}
{{- end -}}
{{- end -}}

{{/* An IPv4 network behind a NAT64 prefix of 96 bits, such as 64:ff9b::/96 (RFC 6052). */}}
{{- define "relay.nat64" -}}
{{- $parts := splitList "." (first (splitList "/" .network)) -}}
{{- $high := add (mul (int (index $parts 0)) 256) (int (index $parts 1)) -}}
{{- $low := add (mul (int (index $parts 2)) 256) (int (index $parts 3)) -}}
{{- $length := add 96 (int (last (splitList "/" .network))) -}}
{{- $prefix := trimSuffix "/96" .prefix -}}
{{- if or $high $low }}{{ printf "%s%x:%x/%d" $prefix $high $low $length }}{{ else }}{{ printf "%s/%d" $prefix $length }}{{ end -}}
{{- end -}}

{{/* Peers: all public addresses, as the guard sees them. */}}
{{- define "relay.public" -}}
{{- $forbidden := .Files.Get "files/forbidden.yaml" | fromYaml -}}
{{- $v4 := $forbidden.v4 -}}
{{- $v6 := $forbidden.v6 -}}
{{- range $network := (include "relay.networks" .Values.settings.RELAY_EGRESS_DENY | fromJson).list -}}
{{- if not (contains ":" $network) }}{{ $v4 = append $v4 $network }}
{{- else if regexMatch "^[23][0-9a-fA-F]{3}:" $network }}{{ $v6 = append $v6 $network }}{{ end -}}
{{- end -}}
{{- $translators := list -}}
{{- range $prefix := prepend (include "relay.networks" .Values.settings.RELAY_EGRESS_NAT64 | fromJson).list "64:ff9b::/96" -}}
{{- if hasSuffix "::/96" $prefix -}}
{{- $behind := list -}}
{{- range $network := $v4 }}{{ $behind = append $behind (include "relay.nat64" (dict "prefix" $prefix "network" $network)) }}{{ end -}}
{{- if regexMatch "^[23][0-9a-fA-F]{3}:" $prefix }}{{ $v6 = concat $v6 $behind }}
{{- else }}{{ $translators = append $translators (dict "ipBlock" (dict "cidr" $prefix "except" ($behind | uniq))) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $all := list (dict "ipBlock" (dict "cidr" "0.0.0.0/0" "except" ($v4 | uniq))) (dict "ipBlock" (dict "cidr" "2000::/3" "except" ($v6 | uniq))) -}}
{{- toYaml (concat $all $translators) -}}
{{- end -}}

{{/* Peers: the networks that a setting allows, without metadata services and RELAY_EGRESS_DENY. Call it with dict "root" $ "networks" "10.0.0.0/8,…". */}}
{{- define "relay.allowed" -}}
{{- $forbidden := .root.Files.Get "files/forbidden.yaml" | fromYaml -}}
{{- $refused := concat $forbidden.metadata (include "relay.networks" .root.Values.settings.RELAY_EGRESS_DENY | fromJson).list -}}
{{- $peers := list -}}
{{- range $network := (include "relay.networks" .networks | fromJson).list -}}
{{- $except := list -}}
{{- $dropped := has $network $refused -}}
{{- if not (contains ":" $network) -}}
{{- range $other := $refused -}}
{{- if not (contains ":" $other) -}}
{{- if include "relay.v4.contains" (dict "outer" $other "inner" $network) }}{{ $dropped = true }}
{{- else if include "relay.v4.contains" (dict "outer" $network "inner" $other) }}{{ $except = append $except $other }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not $dropped -}}
{{- $block := dict "cidr" $network -}}
{{- if $except }}{{ $_ := set $block "except" ($except | uniq) }}{{ end -}}
{{- $peers = append $peers (dict "ipBlock" $block) -}}
{{- end -}}
{{- end -}}
{{- if $peers }}{{ toYaml $peers }}{{ end -}}
{{- end -}}

{{/* Rules: name servers. */}}
{{- define "relay.egress.dns" -}}
- ports:
    {{- range .Values.networkPolicy.dns.ports }}
    - {port: {{ . }}, protocol: UDP}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
  {{- with .Values.networkPolicy.dns.peers }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- range $server := splitList "," (.Values.settings.RELAY_NAMESERVERS | default "") }}
{{- $server = trim $server }}
{{- if $server }}
{{- $address := regexReplaceAll "^\\[?([^\\]]*?)\\]?(:[0-9]+)?$" $server "${1}" }}
{{- $port := "53" }}
{{- if or (contains "]:" $server) (eq (len (splitList ":" $server)) 2) }}{{ $port = last (splitList ":" $server) }}
{{- else if contains ":" $server }}{{ $address = trimAll "[]" $server }}{{ end }}
- ports:
    - {port: {{ $port }}, protocol: UDP}
    - {port: {{ $port }}, protocol: TCP}
  to:
    - ipBlock:
        cidr: {{ $address }}/{{ ternary "128" "32" (contains ":" $address) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Rules: Redis. */}}
{{- define "relay.egress.redis" -}}
{{- if .Values.valkey.enabled -}}
- ports:
    - port: 6379
  to:
    - podSelector:
        matchLabels:
          {{- include "relay.selector" (dict "root" . "component" "valkey") | nindent 10 }}
{{- else -}}
- ports:
    {{- range .Values.networkPolicy.redis.ports }}
    - port: {{ . }}
    {{- end }}
  {{- with .Values.networkPolicy.redis.peers }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
{{- end -}}

{{/* Rules: the collector of traces. */}}
{{- define "relay.egress.tracing" -}}
{{- if .Values.tracing.enabled -}}
- ports:
    {{- range .Values.networkPolicy.tracing.ports }}
    - port: {{ . }}
    {{- end }}
  {{- with .Values.networkPolicy.tracing.peers }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
{{- end -}}

{{/* Rules: public addresses on the ports of RELAY_EGRESS_PORTS. */}}
{{- define "relay.egress.public" -}}
- ports:
    {{- range splitList "," (.Values.settings.RELAY_EGRESS_PORTS | default "443,8443") }}
    - port: {{ trim . }}
    {{- end }}
  to:
    {{- include "relay.public" . | nindent 4 }}
{{- end -}}

{{/* Rules: the networks of a setting, on all ports. Call it with dict "root" $ "networks" …. */}}
{{- define "relay.egress.allowed" -}}
{{- with include "relay.allowed" . -}}
- ports:
    - protocol: TCP
  to:
    {{- . | nindent 4 }}
{{- end }}
{{- end -}}
