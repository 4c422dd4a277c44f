{{/* What webhook and controller both follow, everywhere: policies, and what policies are about. */}}
{{- define "lockkeeper.readRules" -}}
- apiGroups: [lockkeeper.dev]
  resources: [workflowquotas, clusterworkflowquotas, synchronizationpolicies, clustersynchronizationpolicies]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [namespaces, configmaps]
  verbs: [list, watch]
- apiGroups: [argoproj.io]
  resources: [workflowtemplates, clusterworkflowtemplates]
  verbs: [list, watch]
# Ledgers are read one by one and written whole, by compare-and-swap.
- apiGroups: [lockkeeper.dev]
  resources: [quotaledgers]
  verbs: [get, update]
{{- end -}}

{{/*
A binding of the role with the account's name to the account.
Takes (dict "root" $ "component" "webhook" "kind" "ClusterRole"), or "Role" for the release's namespace alone.
*/}}
{{- define "lockkeeper.binding" -}}
{{- $name := printf "%s-%s" (include "lockkeeper.fullname" .root) .component -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}Binding
metadata:
  name: {{ $name }}
  {{- if eq .kind "Role" }}
  namespace: {{ .root.Release.Namespace | quote }}
  {{- end }}
  labels:
    {{- include "lockkeeper.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .kind }}
  name: {{ $name }}
subjects:
- kind: ServiceAccount
  name: {{ $name }}
  namespace: {{ .root.Release.Namespace | quote }}
{{- end -}}
