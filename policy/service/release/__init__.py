"""One pass of the leader: fold in what changed, write the ledgers, send the releases, say who waits and why.

Changes of Workflows, policies and nodes come in; ledgers are written by compare-and-swap, then the patches
that free Workflows are sent. `release_pass` is the order of it on one screen, `root_state` is what a leader
remembers of one quota root, `release_sender` sends. A release is sent only after its reservation stands in
the ledger. Called by `controller`, after every change. Next: `policy.service.status`, for what people see of
it.
"""
