"""Who waits in one quota root, in which order, and who is released next.

Events (arrived, gone, started, limit moved) come in; the Workflows to release go out of `planner`, best
first, and for everybody else the position and the reason. `pending` keeps who waits by namespace and shape,
`ordering` says who goes before whom, `inadmissible` keeps those for whom there is no room, `starvation_guard`
bounds how often a big one is overtaken. It is kept up to date event by event: a release costs O(log n).
Called by the controller's `root_state`. Next: `policy.service.release`, which writes the ledger and sends
releases.
"""
