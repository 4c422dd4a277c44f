"""The pure core: decides on data; clock and snapshot are arguments, and nothing here has effects.

The rooms, bottom up; each imports those above it in this list and never one below it (import-linter, `make
check`): `values`, `objects`, `argo_types`, `policy_kinds`, `quota`, `decision`, `queue`, `lock_model`,
`lock_graph`, `lock_checks`, `lock_queues`, `policies`, `injection`, `lock_review`, `admission`,
`cluster_view`. A review enters at `admission.decide`; a release at `queue.planner`; a policy at
`policies.snapshot`. The docstring of each room says what it decides, what comes in and goes out, who calls it
and where the next step is.
"""
