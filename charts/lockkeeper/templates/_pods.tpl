{{/*
What the Pods of both Deployments, and of the test, have in common. All of it keeps to the restricted Pod Security
Standard. Those about one Deployment take (dict "root" $ "component" "webhook" "settings" .Values.webhook).
*/}}

{{- define "lockkeeper.podSecurity" -}}
runAsNonRoot: true
{{- if not (kindIs "invalid" .Values.runAsUser) }}
runAsUser: {{ .Values.runAsUser }}
runAsGroup: {{ .Values.runAsUser }}
fsGroup: {{ .Values.runAsUser }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "lockkeeper.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Who a Pod is and where it listens: its own address is right for IPv4 and IPv6 alike. */}}
{{- define "lockkeeper.identity" -}}
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- end -}}

{{/* The Deployment's spec around its Pods. No replica goes before its successor is ready. */}}
{{- define "lockkeeper.rollOut" -}}
replicas: {{ .settings.replicas }}
revisionHistoryLimit: 5
strategy:
  type: RollingUpdate
  rollingUpdate:
    maxSurge: 1
    maxUnavailable: 0
selector:
  matchLabels:
    {{- include "lockkeeper.selector" . | nindent 4 }}
{{- end -}}

{{- define "lockkeeper.podMetadata" -}}
{{- with .settings.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
labels:
  {{- include "lockkeeper.labels" (merge (dict "extra" .settings.podLabels) .) | nindent 2 }}
{{- end -}}

{{/* The Pod's spec but for its containers and volumes. */}}
{{- define "lockkeeper.podSpec" -}}
{{- $grace := int .settings.terminationGracePeriodSeconds -}}
{{- if le $grace (int .settings.preStopSeconds) -}}
{{- fail (printf "%s.terminationGracePeriodSeconds is %d: it has to be longer than preStopSeconds, or the Pod is killed before it is told to stop" .component $grace) -}}
{{- end -}}
serviceAccountName: {{ include "lockkeeper.fullname" .root }}-{{ .component }}
automountServiceAccountToken: {{ not .withoutToken }}
# Addresses of all Services of the namespace, as variables: nothing here reads them.
enableServiceLinks: false
securityContext:
  {{- include "lockkeeper.podSecurity" .root | nindent 2 }}
terminationGracePeriodSeconds: {{ $grace }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .settings.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.topologySpreadConstraints }}
{{- $counted := dict "labelSelector" (dict "matchLabels" (include "lockkeeper.selector" $ | fromYaml)) }}
topologySpreadConstraints:
  {{- range . }}
  - {{ merge (deepCopy .) (deepCopy $counted) | toYaml | indent 4 | trim }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* How a container waits for the rest of the cluster to forget it. The kubelet sleeps: there is no shell. */}}
{{- define "lockkeeper.lifecycle" -}}
{{- with int .settings.preStopSeconds -}}
lifecycle:
  preStop:
    sleep:
      seconds: {{ . }}
{{- end }}
{{- end -}}

{{/*
Probes of the port and scheme that are given. A start may take ten minutes: a webhook has nothing to serve before it
has read its certificate, and waits for an API server that is away. A restart would not help it, and the back-off after
several would outlast the outage.
*/}}
{{- define "lockkeeper.probes" -}}
{{- $at := dict "port" .port "scheme" .scheme -}}
startupProbe:
  httpGet: {{ merge (dict "path" "/livez") $at | toJson }}
  periodSeconds: 1
  timeoutSeconds: 5
  failureThreshold: 600
readinessProbe:
  httpGet: {{ merge (dict "path" "/readyz") $at | toJson }}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 2
livenessProbe:
  httpGet: {{ merge (dict "path" "/livez") $at | toJson }}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
{{- end -}}

{{/* The one folder that can be written to. */}}
{{- define "lockkeeper.scratch" -}}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- end -}}
