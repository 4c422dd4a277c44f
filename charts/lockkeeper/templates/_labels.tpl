{{/*
What objects, Deployments and Services select Pods by: it never changes, because a Deployment's selector cannot.
Takes (dict "root" $ "component" "webhook").
*/}}
{{- define "lockkeeper.selector" -}}
app.kubernetes.io/name: lockkeeper
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* The labels of every object. Takes the same; the component may be absent, and "extra" are labels that win. */}}
{{- define "lockkeeper.labels" -}}
helm.sh/chart: {{ include "lockkeeper.chart" .root }}
app.kubernetes.io/name: lockkeeper
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- with merge (deepCopy (.extra | default dict)) (.root.Values.commonLabels | default dict) }}
{{- range $label, $_ := . }}
{{- if regexMatch "^(helm[.]sh/chart|app[.]kubernetes[.]io/(name|instance|component|version|managed-by))$" $label }}
{{- fail (printf "the label %s is the chart's own, objects are found by it: choose another one" $label) }}
{{- end }}
{{- end }}
{{ toYaml . }}
{{- end }}
{{- end -}}
