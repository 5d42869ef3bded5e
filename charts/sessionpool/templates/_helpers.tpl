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
