{{- define "name" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "selector" -}}
app.kubernetes.io/name: simplejwt-gateway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "labels" -}}
{{ include "selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "gateway.container" -}}
- name: gateway
  image: {{ .Values.gateway.image | quote }}
  {{- if .Values.gateway.nativeSidecar }}
  restartPolicy: Always
  {{- end }}
  ports:
    - {name: gateway, containerPort: {{ dig "port" 8080 .Values.config.listen }}}
    - {name: admin, containerPort: {{ dig "admin" "port" 8081 .Values.config }}}
  startupProbe:
    httpGet: {path: /healthz, port: admin}
    periodSeconds: 1
    failureThreshold: 30
  readinessProbe:
    httpGet: {path: /readyz, port: admin}
    periodSeconds: 5
    timeoutSeconds: 3
  livenessProbe:
    httpGet: {path: /healthz, port: admin}
    periodSeconds: 10
    timeoutSeconds: 3
  resources: {{- toYaml .Values.gateway.resources | nindent 4 }}
  securityContext:
    runAsUser: 65532
    runAsGroup: 65532
    runAsNonRoot: true
    readOnlyRootFilesystem: true
    allowPrivilegeEscalation: false
    capabilities: {drop: [ALL]}
  volumeMounts:
    - {name: gateway-config, mountPath: /etc/gateway, readOnly: true}
    - {name: gateway-key, mountPath: /run/secrets/gateway, readOnly: true}
    - {name: gateway-state, mountPath: /var/lib/gateway}
{{- end }}
