"""Reads a cluster once, with the rights of whoever asks, and builds from it the state that a leader has.

Quotas, namespaces, live Workflows and ledgers come in; the view of `policy.core.cluster_view` goes out, and
for one Workflow what other priorities, sizes and limits would change. Nothing is written. What the caller may
not read is taken from the status of quotas where that has it, and told. `cluster_reading` reads;
`live_roots` builds `RootState`s as the leader does. Called by the commands `status`, `queue` and `why`, and
by the page; `start_forecasts` does it for the leader, from what that has in memory.
"""
