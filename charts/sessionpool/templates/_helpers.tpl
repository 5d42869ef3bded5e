{{/* Name of what belongs to the release. */}}
{{- define "sessionpool.name" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- $chart := .Values.nameOverride | default .Chart.Name -}}
{{- $name := .Release.Name -}}
{{- if not (contains $chart $name) }}{{ $name = printf "%s-%s" $name $chart }}{{ end -}}
{{- printf "%s-operator" ($name | trunc 50 | trimSuffix "-") -}}
{{- end }}
{{- end }}

{{/* Name of what has no namespace, so that releases of one name in two namespaces get along. */}}
{{- define "sessionpool.clusterName" -}}
{{- printf "%s-%s" (include "sessionpool.name" .) .Release.Namespace -}}
{{- end }}

{{- define "sessionpool.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "sessionpool.name" .) -}}
{{- end }}

{{- define "sessionpool.selectorLabels" -}}
app.kubernetes.io/name: sessionpool-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels of every object; the chart's own win over those of commonLabels. */}}
{{- define "sessionpool.labels" -}}
{{- $own := include "sessionpool.selectorLabels" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/component" "operator" -}}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version) -}}
{{- merge $own .Values.commonLabels | toYaml -}}
{{- end }}

{{/* Metadata of an object: root, name, and where it has them namespace, labels and annotations. */}}
{{- define "sessionpool.metadata" -}}
name: {{ .name }}
{{- with .namespace }}
namespace: {{ . }}
{{- end }}
labels: {{- mergeOverwrite (include "sessionpool.labels" .root | fromYaml) (.labels | default dict) | toYaml | nindent 2 }}
{{- with mergeOverwrite (dict) .root.Values.commonAnnotations (.annotations | default dict) }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Reference of an image: root and image. */}}
{{- define "sessionpool.image" -}}
{{- if .image.digest }}{{ printf "%s@%s" .image.repository .image.digest }}
{{- else }}{{ printf "%s:%s" .image.repository (.image.tag | default .root.Chart.AppVersion) }}
{{- end }}
{{- end }}

{{/* Whether pods that ask for a proxy get one. */}}
{{- define "sessionpool.injects" -}}
{{- $served := .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" }}
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
