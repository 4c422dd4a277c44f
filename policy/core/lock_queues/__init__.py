"""Which Workflows hold and wait for each lock while they run, since when, and which waits never end.

Workflows from a watch come in (`trace` makes small records of them); queues, deadlocks and the waiters that
Argo overlooks go out. `replay` shows what another limit would have done. Called by the leader's
`policy.service.locks` and by `lockkeeper locks`; never during admission. Next: `policy.service.locks`, which
shows the queues and touches the waiters that are overlooked.
"""
