"""Options that several commands have, and what is done with them before a command does its own work.

`command_options` has the output, policies, the cluster and its accounts; `file_options` files and folders;
`serving_options` addresses and certificates of servers; `view_options` reads a cluster for the commands that
show it. Arguments come in, values that were checked go out, or a `UsageError` that says what to write
instead. Called by the commands of `lockkeeper.cli` alone.
"""
