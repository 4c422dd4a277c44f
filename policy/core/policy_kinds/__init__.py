"""Policies as their authors write them: WorkflowQuota, SynchronizationPolicy and the cluster-wide kinds.

Documents are decoded into the structs of `kinds`; the spec of a quota is in `quota_parts`. Nothing is
decided here. The CRDs in `charts/` state the same, and a test compares the two field by field. A new field of
a policy starts here. Called by `policy.sources`, which decodes documents, and by every room that compiles a
part of a policy. Next: `policy.core.policies`, where a policy is checked and compiled into the snapshot.
"""
