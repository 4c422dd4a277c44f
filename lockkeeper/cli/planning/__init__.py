"""The commands for a change that is planned: what policies decide, before they are in force.

One module a command, with the same three names as in `lockkeeper.cli`: `EXAMPLES`, `configure` and `run`.
They read files, or a cluster with the user's own rights, and change nothing. What is decided and compared is
in the rooms of `lockkeeper` that are named after it, such as `policy_tests`; the table of all commands is
`lockkeeper.cli.commands`.
"""
