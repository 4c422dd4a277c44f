"""Which replica leads, and how long its writes count: the Lease, the election, epochs of ledgers, terms.

A Lease is read and written; the works of a term start when it is won and end when it is lost. Each term
raises an epoch in every ledger (a fence), so that an earlier leader can write no more, and a namespace that
changes its pool takes its reservations along (`ledger_moves`). Called by `lockkeeper.cli.controller`,
`lockkeeper.assembly.controller` and the release pass. Next: `policy.service.release`, the main work of a
term.
"""
