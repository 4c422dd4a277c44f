"""What a quota is once compiled, what an account has used, and what fits: limits, pools, windows, ledger.

A policy's spec and the time come in; limits that are in force go out, and for a demand the accounts that have
no room for it (`Shortfall`). `ledger` is the exact record of usage and reservations of one quota root, as a
value; `pool_tree` and `pool_usage` say what a member of a pool may borrow; `windows` and `node_capacity` move
limits. Called by `policies` (compiles it), `admission` (asks what fits), `queue` (asks again and again) and
the controller. Next: `policy.core.queue`, for those who do not fit now.
"""
