"""The fields of Kubernetes types that Argo embeds (core, policy and meta v1 of 1.35); see `type_table`."""

from typing import Final

KUBERNETES: Final = """
AWSElasticBlockStoreVolumeSource = fsType partition:int32 readOnly:bool volumeID
Affinity = nodeAffinity:NodeAffinity podAffinity:PodAffinity podAntiAffinity:PodAntiAffinity
AppArmorProfile = localhostProfile type
AzureDiskVolumeSource = cachingMode diskName diskURI fsType kind readOnly:bool
AzureFileVolumeSource = readOnly:bool secretName shareName
CSIVolumeSource = driver fsType nodePublishSecretRef:LocalObjectReference readOnly:bool
  volumeAttributes:{string}
Capabilities = add:[string] drop:[string]
CephFSVolumeSource = monitors:[string] path readOnly:bool secretFile secretRef:LocalObjectReference user
CinderVolumeSource = fsType readOnly:bool secretRef:LocalObjectReference volumeID
ClusterTrustBundleProjection = labelSelector:LabelSelector name optional:bool path signerName
ConfigMapEnvSource = name optional:bool
ConfigMapKeySelector = key name optional:bool
ConfigMapProjection = items:[KeyToPath] name optional:bool
ConfigMapVolumeSource = defaultMode:int32 items:[KeyToPath] name optional:bool
Container = args:[string] command:[string] env:[EnvVar] envFrom:[EnvFromSource] image imagePullPolicy
  lifecycle:Lifecycle livenessProbe:Probe name ports:[ContainerPort] readinessProbe:Probe
  resizePolicy:[ContainerResizePolicy] resources:ResourceRequirements restartPolicy
  restartPolicyRules:[ContainerRestartRule] securityContext:SecurityContext startupProbe:Probe stdin:bool
  stdinOnce:bool terminationMessagePath terminationMessagePolicy tty:bool volumeDevices:[VolumeDevice]
  volumeMounts:[VolumeMount] workingDir
ContainerPort = containerPort:int32 hostIP hostPort:int32 name protocol
ContainerResizePolicy = resourceName restartPolicy
ContainerRestartRule = action exitCodes:ContainerRestartRuleOnExitCodes
ContainerRestartRuleOnExitCodes = operator values:[int32]
DownwardAPIProjection = items:[DownwardAPIVolumeFile]
DownwardAPIVolumeFile = fieldRef:ObjectFieldSelector mode:int32 path resourceFieldRef:ResourceFieldSelector
DownwardAPIVolumeSource = defaultMode:int32 items:[DownwardAPIVolumeFile]
EmptyDirVolumeSource = medium sizeLimit:quantity
EnvFromSource = configMapRef:ConfigMapEnvSource prefix secretRef:SecretEnvSource
EnvVar = name value valueFrom:EnvVarSource
EnvVarSource = configMapKeyRef:ConfigMapKeySelector fieldRef:ObjectFieldSelector fileKeyRef:FileKeySelector
  resourceFieldRef:ResourceFieldSelector secretKeyRef:SecretKeySelector
EphemeralVolumeSource = volumeClaimTemplate:PersistentVolumeClaimTemplate
ExecAction = command:[string]
FCVolumeSource = fsType lun:int32 readOnly:bool targetWWNs:[string] wwids:[string]
FileKeySelector = key optional:bool path volumeName
FlexVolumeSource = driver fsType options:{string} readOnly:bool secretRef:LocalObjectReference
FlockerVolumeSource = datasetName datasetUUID
GCEPersistentDiskVolumeSource = fsType partition:int32 pdName readOnly:bool
GRPCAction = port:int32 service
GitRepoVolumeSource = directory repository revision
GlusterfsVolumeSource = endpoints path readOnly:bool
HTTPGetAction = host httpHeaders:[HTTPGetHeader] path port:intstr scheme
HTTPGetHeader = name value
HostAlias = hostnames:[string] ip
HostPathVolumeSource = path type
ISCSIVolumeSource = chapAuthDiscovery:bool chapAuthSession:bool fsType initiatorName iqn iscsiInterface
  lun:int32 portals:[string] readOnly:bool secretRef:LocalObjectReference targetPortal
ImageVolumeSource = pullPolicy reference
KeyToPath = key mode:int32 path
LabelSelector = matchExpressions:[LabelSelectorRequirement] matchLabels:{string}
LabelSelectorRequirement = key operator values:[string]
Lifecycle = postStart:LifecycleHandler preStop:LifecycleHandler stopSignal
LifecycleHandler = exec:ExecAction httpGet:HTTPGetAction sleep:SleepAction tcpSocket:TCPSocketAction
LocalObjectReference = name
ManagedFieldsEntry = apiVersion fieldsType fieldsV1:raw manager operation subresource time:time
ModifyVolumeStatus = status targetVolumeAttributesClassName
NFSVolumeSource = path readOnly:bool server
NodeAffinity = preferredDuringSchedulingIgnoredDuringExecution:[PreferredSchedulingTerm]
  requiredDuringSchedulingIgnoredDuringExecution:NodeSelector
NodeSelector = nodeSelectorTerms:[NodeSelectorTerm]
NodeSelectorRequirement = key operator values:[string]
NodeSelectorTerm = matchExpressions:[NodeSelectorRequirement] matchFields:[NodeSelectorRequirement]
ObjectFieldSelector = apiVersion fieldPath
ObjectMeta = annotations:{string} creationTimestamp:time deletionGracePeriodSeconds:int64
  deletionTimestamp:time finalizers:[string] generateName generation:int64 labels:{string}
  managedFields:[ManagedFieldsEntry] name namespace ownerReferences:[OwnerReference] resourceVersion
  selfLink uid
ObjectReference = apiVersion fieldPath kind name namespace resourceVersion uid
OwnerReference = apiVersion blockOwnerDeletion:bool controller:bool kind name uid
PersistentVolumeClaim = apiVersion kind metadata:ObjectMeta spec:PersistentVolumeClaimSpec
  status:PersistentVolumeClaimStatus
PersistentVolumeClaimCondition = lastProbeTime:time lastTransitionTime:time message reason status type
PersistentVolumeClaimSpec = accessModes:[string] dataSource:TypedLocalObjectReference
  dataSourceRef:TypedObjectReference resources:VolumeResourceRequirements selector:LabelSelector
  storageClassName volumeAttributesClassName volumeMode volumeName
PersistentVolumeClaimStatus = accessModes:[string] allocatedResourceStatuses:{string}
  allocatedResources:{quantity} capacity:{quantity} conditions:[PersistentVolumeClaimCondition]
  currentVolumeAttributesClassName modifyVolumeStatus:ModifyVolumeStatus phase
PersistentVolumeClaimTemplate = metadata:ObjectMeta spec:PersistentVolumeClaimSpec
PersistentVolumeClaimVolumeSource = claimName readOnly:bool
PhotonPersistentDiskVolumeSource = fsType pdID
PodAffinity = preferredDuringSchedulingIgnoredDuringExecution:[WeightedPodAffinityTerm]
  requiredDuringSchedulingIgnoredDuringExecution:[PodAffinityTerm]
PodAffinityTerm = labelSelector:LabelSelector matchLabelKeys:[string] mismatchLabelKeys:[string]
  namespaceSelector:LabelSelector namespaces:[string] topologyKey
PodAntiAffinity = preferredDuringSchedulingIgnoredDuringExecution:[WeightedPodAffinityTerm]
  requiredDuringSchedulingIgnoredDuringExecution:[PodAffinityTerm]
PodCertificateProjection = certificateChainPath credentialBundlePath keyPath keyType
  maxExpirationSeconds:int32 signerName userAnnotations:{string}
PodDNSConfig = nameservers:[string] options:[PodDNSConfigOption] searches:[string]
PodDNSConfigOption = name value
PodDisruptionBudgetSpec = maxUnavailable:intstr minAvailable:intstr selector:LabelSelector
  unhealthyPodEvictionPolicy
PodResourceClaim = name resourceClaimName resourceClaimTemplateName
PodSecurityContext = appArmorProfile:AppArmorProfile fsGroup:int64 fsGroupChangePolicy runAsGroup:int64
  runAsNonRoot:bool runAsUser:int64 seLinuxChangePolicy seLinuxOptions:SELinuxOptions
  seccompProfile:SeccompProfile supplementalGroups:[int64] supplementalGroupsPolicy sysctls:[Sysctl]
  windowsOptions:WindowsSecurityContextOptions
PortworxVolumeSource = fsType readOnly:bool volumeID
PreferredSchedulingTerm = preference:NodeSelectorTerm weight:int32
Probe = exec:ExecAction failureThreshold:int32 grpc:GRPCAction httpGet:HTTPGetAction
  initialDelaySeconds:int32 periodSeconds:int32 successThreshold:int32 tcpSocket:TCPSocketAction
  terminationGracePeriodSeconds:int64 timeoutSeconds:int32
ProjectedVolumeSource = defaultMode:int32 sources:[VolumeProjection]
QuobyteVolumeSource = group readOnly:bool registry tenant user volume
RBDVolumeSource = fsType image keyring monitors:[string] pool readOnly:bool secretRef:LocalObjectReference
  user
ResourceClaim = name request
ResourceFieldSelector = containerName divisor:quantity resource
ResourceRequirements = claims:[ResourceClaim] limits:{quantity} requests:{quantity}
SELinuxOptions = level role type user
ScaleIOVolumeSource = fsType gateway protectionDomain readOnly:bool secretRef:LocalObjectReference
  sslEnabled:bool storageMode storagePool system volumeName
SeccompProfile = localhostProfile type
SecretEnvSource = name optional:bool
SecretKeySelector = key name optional:bool
SecretProjection = items:[KeyToPath] name optional:bool
SecretVolumeSource = defaultMode:int32 items:[KeyToPath] optional:bool secretName
SecurityContext = allowPrivilegeEscalation:bool appArmorProfile:AppArmorProfile capabilities:Capabilities
  privileged:bool procMount readOnlyRootFilesystem:bool runAsGroup:int64 runAsNonRoot:bool runAsUser:int64
  seLinuxOptions:SELinuxOptions seccompProfile:SeccompProfile windowsOptions:WindowsSecurityContextOptions
ServiceAccountTokenProjection = audience expirationSeconds:int64 path
SleepAction = seconds:int64
StorageOSVolumeSource = fsType readOnly:bool secretRef:LocalObjectReference volumeName volumeNamespace
Sysctl = name value
TCPSocketAction = host port:intstr
Toleration = effect key operator tolerationSeconds:int64 value
TypedLocalObjectReference = apiGroup kind name
TypedObjectReference = apiGroup kind name namespace
Volume = awsElasticBlockStore:AWSElasticBlockStoreVolumeSource azureDisk:AzureDiskVolumeSource
  azureFile:AzureFileVolumeSource cephfs:CephFSVolumeSource cinder:CinderVolumeSource
  configMap:ConfigMapVolumeSource csi:CSIVolumeSource downwardAPI:DownwardAPIVolumeSource
  emptyDir:EmptyDirVolumeSource ephemeral:EphemeralVolumeSource fc:FCVolumeSource
  flexVolume:FlexVolumeSource flocker:FlockerVolumeSource gcePersistentDisk:GCEPersistentDiskVolumeSource
  gitRepo:GitRepoVolumeSource glusterfs:GlusterfsVolumeSource hostPath:HostPathVolumeSource
  image:ImageVolumeSource iscsi:ISCSIVolumeSource name nfs:NFSVolumeSource
  persistentVolumeClaim:PersistentVolumeClaimVolumeSource
  photonPersistentDisk:PhotonPersistentDiskVolumeSource portworxVolume:PortworxVolumeSource
  projected:ProjectedVolumeSource quobyte:QuobyteVolumeSource rbd:RBDVolumeSource
  scaleIO:ScaleIOVolumeSource secret:SecretVolumeSource storageos:StorageOSVolumeSource
  vsphereVolume:VsphereVirtualDiskVolumeSource
VolumeDevice = devicePath name
VolumeMount = mountPath mountPropagation name readOnly:bool recursiveReadOnly subPath subPathExpr
VolumeProjection = clusterTrustBundle:ClusterTrustBundleProjection configMap:ConfigMapProjection
  downwardAPI:DownwardAPIProjection podCertificate:PodCertificateProjection secret:SecretProjection
  serviceAccountToken:ServiceAccountTokenProjection
VolumeResourceRequirements = limits:{quantity} requests:{quantity}
VsphereVirtualDiskVolumeSource = fsType storagePolicyID storagePolicyName volumePath
WeightedPodAffinityTerm = podAffinityTerm:PodAffinityTerm weight:int32
WindowsSecurityContextOptions = gmsaCredentialSpec gmsaCredentialSpecName hostProcess:bool runAsUserName
"""
