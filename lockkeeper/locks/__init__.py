"""Locks of a cluster for people, for `lockkeeper locks`: their queues now, and what another limit would do.

Nothing is decided here: `policy.core.lock_queues` works out queues, deadlocks and replays. `live_locks`
reads the Workflows and the ConfigMaps that they name, and shows holders and waiters of every lock;
`limit_suggestions` replays finished Workflows with other limits. A cluster comes in, lines for people and
structs for JSON go out. The command is `lockkeeper.cli.locks`.
"""
