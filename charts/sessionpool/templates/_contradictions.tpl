{{/* Values that each are good and together are not: each fails with what to do. */}}
{{- define "sessionpool.contradictions" -}}
{{- $v := .Values -}}
{{- range $name := list "leaderElection" "api" "tests" "dashboard" "tracing" }}
{{- if not (hasKey $v $name) }}
{{- fail (printf "there is no %s among the values, as if they were those of an older chart: upgrade with --reset-then-reuse-values in place of --reuse-values" $name) }}
{{- end }}
{{- end }}
{{- if and (gt (int $v.replicas) 1) (not $v.leaderElection.enabled) }}
{{- fail (printf "replicas is %d and leaderElection.enabled is false: they would all act at once; set replicas to 1 or leaderElection.enabled to true" (int $v.replicas)) }}
{{- end }}
{{- with $v.podDisruptionBudget }}{{ if .enabled }}
{{- if lt (int $v.replicas) 2 }}
{{- fail (printf "podDisruptionBudget.enabled asks for more than one operator, and replicas is %d: its node could never be drained; set replicas to 2 or podDisruptionBudget.enabled to false" (int $v.replicas)) }}
{{- end }}
{{- if and (ne (toString .minAvailable) "") (ne (toString .maxUnavailable) "") }}
{{- fail "podDisruptionBudget has minAvailable and maxUnavailable: Kubernetes takes one of them, so leave the other empty" }}
{{- end }}
{{- if or (and (regexMatch "^[0-9]+$" (toString .minAvailable)) (ge (int .minAvailable) (int $v.replicas))) (eq (toString .minAvailable) "100%") (has (toString .maxUnavailable) (list "0" "0%")) }}
{{- fail (printf "podDisruptionBudget lets none of the %d replicas go: no node that one runs on could be drained; lower minAvailable or raise maxUnavailable" (int $v.replicas)) }}
{{- end }}
{{- end }}{{ end }}
{{- with $v.poolDefaults }}
{{- if and (hasKey . "minSize") (hasKey . "maxSize") }}
{{- if gt (int64 .minSize) (int64 .maxSize) }}
{{- fail (printf "poolDefaults.minSize is %d and poolDefaults.maxSize is %d: no pool could have both; raise maxSize or lower minSize" (int64 .minSize) (int64 .maxSize)) }}
{{- end }}
{{- end }}
{{- end }}
{{- if not (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1") }}
{{- range $name := list "serviceMonitor" "prometheusRule" }}
{{- if (get $v $name).enabled }}
{{- fail (printf "%s.enabled needs the definitions of the Prometheus Operator (monitoring.coreos.com/v1): install those first, or set it to false" $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (eq $v.injection "Enabled") (not (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy")) }}
{{- fail "injection is Enabled, and this cluster does not serve MutatingAdmissionPolicy of admissionregistration.k8s.io/v1 (Kubernetes 1.36 and later do): set it to Auto or Disabled" }}
{{- end }}
{{- if and (not $v.serviceAccount.create) (not $v.serviceAccount.name) }}
{{- fail "serviceAccount.create is false and serviceAccount.name is empty: name the account that the operator is to run as" }}
{{- end }}
{{- if $v.ingress.enabled }}
{{- if not $v.api.enabled }}
{{- fail "ingress.enabled leads to the API, and api.enabled is false: set both or neither" }}
{{- end }}
{{- if not $v.ingress.hosts }}
{{- fail "ingress.enabled and ingress.hosts is empty: it would answer for every name; say for which" }}
{{- end }}
{{- end }}
{{- if and (not $v.api.enabled) (ne $v.service.type "ClusterIP") }}
{{- fail (printf "service.type is %s and api.enabled is false: there is nothing for it to serve; set api.enabled to true or service.type to ClusterIP" $v.service.type) }}
{{- end }}
{{- $flags := dict "--proxy-image" "proxyImage" "--lease-name" "leaderElection.leaseName" "--admin-listen" "nothing" "--api-listen" "api.enabled" "--log-format" "logFormat" "--watch-namespace" "watchNamespaces" "--tracing-endpoint" "tracing.endpoint" "--tracing-sampling-ratio" "tracing.samplingRatio" }}
{{- range $v.extraArgs }}
{{- $flag := (splitList "=" . | first) }}
{{- if hasKey $flags $flag }}
{{- fail (printf "extraArgs holds %s, which the chart sets itself: it follows from %s" $flag (get $flags $flag)) }}
{{- end }}
{{- end }}
{{- $variables := dict "POD_NAMESPACE" "the release" "POD_NAME" "the pod" "RUST_LOG" "logFilter" "POOL_MIN_SIZE" "poolDefaults.minSize" "POOL_MAX_SIZE" "poolDefaults.maxSize" "POOL_TIMEOUT" "poolDefaults.timeout" "POOL_RECYCLE_SECONDS" "poolDefaults.recycleSeconds" "POOL_PRE_PING" "poolDefaults.prePing" }}
{{- range $v.extraEnv }}
{{- if hasKey $variables .name }}
{{- fail (printf "extraEnv holds %s, which the chart sets itself: it follows from %s" .name (get $variables .name)) }}
{{- end }}
{{- end }}
{{- range $name := list "commonLabels" "podLabels" }}
{{- range $label, $_ := include "sessionpool.selectorLabels" $ | fromYaml }}
{{- if hasKey (get $v $name) $label }}
{{- fail (printf "%s holds %s, by which the operator's pods are found: take another label" $name $label) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
