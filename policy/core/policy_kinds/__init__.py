"""Policies as their authors write them: WorkflowQuota, SynchronizationPolicy and the cluster-wide kinds.

A decoded document comes in as one of the structs of `kinds`; nothing is decided here. The CRDs in `charts/`
say the same, and a test compares the two field by field. A new field of a policy starts here. Called by
`policy.sources`, which decodes documents, and by every room that compiles a part of a policy. Next:
`policy.core.policies`, where a policy is checked by itself and compiled into the snapshot.
"""
