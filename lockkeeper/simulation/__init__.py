"""What policies would do to a history, for `lockkeeper simulate`: played, compared, and told in words first.

A history of `lockkeeper.histories` and a snapshot of policies come in; `playing` lets
`policy.service.simulation` play it, `comparison` says what is different under two sets of policies and for
whom. `outcome` is the stable form of `-o json`; `words` has the sentences, `tables` the rows for a terminal,
`report_page` and `charts` the one HTML file. Nothing is decided here.
Called by `lockkeeper.cli.planning`.
"""
