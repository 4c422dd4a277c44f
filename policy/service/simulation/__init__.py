"""A history of Workflows played under policies on a virtual clock: what would have waited, and for how long.

Past runs come in (`past_run`), in the order of their creation. `arrivals` lets the webhook's own decision
admit each, `player` keeps the quota roots as a leader does and releases what they release, `lock_waits` gives
locks as Argo's controller does. `tally` counts what comes of it, `result` is what goes out. Order, fit and
refusals are decided in `policy.core` and `policy.service.release`, and nothing of them is modelled here
again. Called by `lockkeeper.simulation`, which writes the reports.
"""
