"""Who leads, and for how long its writes count: leases, election, epochs, terms.

A Lease is read and written; the works of a leader are started when it is won and ended when it is lost. Each
term raises an epoch in every ledger (a fence), so that whoever led before can no longer write. A pass follows
each change. Called by `lockkeeper.assembly.controller`. Next: `policy.service.release`, the main work of a
term.
"""
