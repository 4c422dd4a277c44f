"""Policies from the limits that a cluster has already, for `lockkeeper import`.

Objects of files or of a cluster (`cluster_objects`) come in. `argo_settings`, `semaphore_limits`,
`resource_quotas` and `kueue_queues` make drafts of policies of them, each with where its fields come from and
what changes in meaning (`drafts`), and say what they leave out. `all_drafts` puts them together,
`running_check` asks the product's own decisions whether anybody who runs now would be over a limit, and
`printed_policies` writes YAML with the origins as comments. Used by `lockkeeper.cli.planning.import_limits`.
"""
