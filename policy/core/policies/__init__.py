"""All policies at one time: checked one by one, compiled into the snapshot, and compared with each other.

Decoded policies and the objects beside them come in. `policy_checks` finds what is wrong with one policy
(quotas: `quota_checks`, `quota_part_checks`, `group_checks`), `conflicts` what only the whole set shows.
`snapshot` compiles them into the immutable `Snapshot` that every review decides by; `governing_quotas` looks
up which quotas count for a Workflow, or were bypassed. `status_figures` makes the figures for a quota's
status, `semaphore_config_maps` the ConfigMaps that Argo reads. Called by `policy.sources` at every change of
a policy, `governing_quotas` also by reviews and release passes. Next: `policy.core.admission`, which decides
on a snapshot.
"""
