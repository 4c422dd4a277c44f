"""One pass of the leader: which Workflows are released, and why each of the others waits.

Changes of Workflows, policies and nodes come in; ledgers are written by compare-and-swap, then the patches
that free Workflows are sent, and messages to those that wait. `controller` makes a pass after every change;
`release_pass` has the order of it on one screen; `root_state` is what a leader remembers of one quota root;
`release_sender` sends. A release is sent only after its reservation is in the ledger. Started by
`lockkeeper.assembly.controller`. Next: `policy.service.status`, for what users see of it.
"""
