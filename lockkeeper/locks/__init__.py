"""Locks of a cluster for people, for `lockkeeper locks`: their queues now, and what another limit would do.

Nothing is decided here: `policy.core.locks` works out queues, deadlocks and replays. `live_locks` reads the
Workflows and the ConfigMaps that they name, `table` shows holders and waiters of every lock, and
`limit_suggestions` replays finished Workflows with other limits. What comes in is a cluster, what goes out
are lines for people and structs for JSON. The command is `lockkeeper.cli.locks`.
"""
