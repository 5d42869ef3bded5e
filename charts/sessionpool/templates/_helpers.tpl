{{/* Name of what belongs to the release. */}}
{{- define "sessionpool.name" -}}
{{- $name := .Release.Name -}}
{{- if not (contains .Chart.Name $name) }}{{ $name = printf "%s-%s" $name .Chart.Name }}{{ end -}}
{{- printf "%s-operator" ($name | trunc 50 | trimSuffix "-") -}}
{{- end }}

{{/* Name of what has no namespace, so that releases of one name in two namespaces get along. */}}
{{- define "sessionpool.clusterName" -}}
{{- printf "%s-%s" (include "sessionpool.name" .) .Release.Namespace -}}
{{- end }}

{{- define "sessionpool.selectorLabels" -}}
app.kubernetes.io/name: sessionpool-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "sessionpool.labels" -}}
{{ include "sessionpool.selectorLabels" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* Whether pods that ask for a proxy get one. */}}
{{- define "sessionpool.injects" -}}
{{- $served := .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" }}
{{- if and (eq .Values.injection "Enabled") (not $served) }}
{{- fail "injection is Enabled, and this cluster does not serve MutatingAdmissionPolicy of admissionregistration.k8s.io/v1 (Kubernetes 1.36 and later do): set it to Auto or Disabled" }}
{{- end }}
{{- and $served (ne .Values.injection "Disabled") }}
{{- end }}

{{/* Pods of namespaces that the operator does not look after are nobody's business here. */}}
{{- define "sessionpool.injectedNamespaces" -}}
{{- with .Values.watchNamespaces }}
matchResources:
  namespaceSelector:
    matchExpressions:
      - key: kubernetes.io/metadata.name
        operator: In
        values: {{- toYaml . | nindent 10 }}
{{- end }}
{{- end }}
