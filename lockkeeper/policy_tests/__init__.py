"""Unit tests of policies, for `lockkeeper test`: files of cases, run on the product's own decisions.

`case_format` is the format: its structs are the JSON schema that `schema` writes. `reading` makes a suite of
a file, with the place of everything in it; `running` decides each case down the path of `lockkeeper review`,
and `release_play` lets all Workflows of a case pass the webhook, the ledger and the leader's passes under a
clock of its own. `comparing` finds what is not as expected, `results` are what `results_report` and
`results_table` write. `lockkeeper.cli.test` calls all of it; nothing is decided here.
"""
