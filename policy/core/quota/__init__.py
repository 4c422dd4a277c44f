"""What a quota is once compiled, what an account has used, and what fits: limits, pools, windows, ledger.

A policy's spec and the time come in; the limits that are in force go out, and for a demand the limits that do
not admit it (`Shortfall`). `compiled_quota` and `pools` are what policies compile to, `windows` and
`node_capacity` change their limits with time and nodes, `pool_borrowing` has what a member may borrow,
`group_keys` the keys by which the groups of a quota count.
`ledger` is the exact record of usage and reservations of one root, as a value; `usage_view` is the latest
known usage, for messages only. Called by `policies` (compiles), `admission` and `queue` (what fits) and the
controller. Next: `policy.core.queue`, for Workflows that do not fit now.
"""
