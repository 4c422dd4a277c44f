"""The cluster behind one Protocol, so that the whole product runs with and without Kubernetes.

Decided here: how objects are listed, watched and written, and which errors callers distinguish. `protocol` is
what callers see; `kube` and `memory` implement it, and one suite (tests/policy/cluster) proves both.
`list_and_watch` follows objects for every loop of the product; `ledgers` reads and reserves quota usage by
compare-and-swap; `workflow_reads` reads the owners of a new Workflow for a review. Callers are
`policy.sources`, `policy.service`, the webhook by way of `lockkeeper.assembly`, and the command line.
"""
