{{/*
The names that stand in more than one file. The rest is the fullname with an ending; the longest of these is
"-controller", and with it a name has to keep to 63 characters.
*/}}

{{- define "lockkeeper.fullname" -}}
{{- $name := .Values.fullnameOverride | default .Release.Name -}}
{{- /* A Service is stricter about its name than a release, and the API server would say so half-way through. */ -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) -}}
{{- fail (printf "the release name %q cannot be in the name of a Service, which begins with a letter and has letters, digits and dashes: choose another one, or set fullnameOverride" $name) -}}
{{- end -}}
{{- $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "lockkeeper.chart" -}}
{{- printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "lockkeeper.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* The Service's own name, by which the API server checks the certificate. */}}
{{- define "lockkeeper.serverName" -}}
{{- printf "%s-webhook.%s.svc" (include "lockkeeper.fullname" .) .Release.Namespace -}}
{{- end -}}

{{/* The names in the built-in certificate, with commas between them. */}}
{{- define "lockkeeper.certificateNames" -}}
{{- $service := printf "%s-webhook" (include "lockkeeper.fullname" .) -}}
{{- $qualified := printf "%s.%s" $service .Release.Namespace -}}
{{- $names := list $service $qualified (printf "%s.svc" $qualified) (printf "%s.svc.cluster.local" $qualified) -}}
{{- concat $names .Values.certificates.extraNames | uniq | join "," -}}
{{- end -}}

{{/* The Secret that holds the certificate which is served, in each of the modes. */}}
{{- define "lockkeeper.certificateSecret" -}}
{{- $mode := .Values.certificates.mode -}}
{{- if eq $mode "secret" -}}
{{- .Values.certificates.secret.name | required "certificates.mode is secret: name the Secret, of type kubernetes.io/tls in the release's namespace, with certificates.secret.name" -}}
{{- else if eq $mode "certManager" -}}
{{- include "lockkeeper.fullname" . }}-tls
{{- else -}}
{{- include "lockkeeper.fullname" . }}-certs
{{- end -}}
{{- end -}}

{{/* Whether the controller keeps caBundle right: "true", or nothing where somebody else does. */}}
{{- define "lockkeeper.keepsBundle" -}}
{{- $certificates := .Values.certificates -}}
{{- if or (eq $certificates.mode "builtIn") (and (eq $certificates.mode "secret") (not $certificates.secret.caBundle)) -}}
true
{{- end -}}
{{- end -}}

{{/* The seconds of a length of time such as 1h30m. */}}
{{- define "lockkeeper.seconds" -}}
{{- $hours := regexFind "[0-9]+h" . | trimSuffix "h" | default "0" | atoi -}}
{{- $minutes := regexFind "[0-9]+m" . | trimSuffix "m" | default "0" | atoi -}}
{{- $seconds := regexFind "[0-9]+s" . | trimSuffix "s" | default "0" | atoi -}}
{{- add (mul $hours 3600) (mul $minutes 60) $seconds -}}
{{- end }}
