"""The smallest limits, shares or windows that meet stated waits, for `lockkeeper suggest`.

A history and a snapshot come in, a `Suggestion` goes out. `strategies` has what may change and the search;
it only asks for what-ifs. `what_if` plays one, `shared_history` and `worker_processes` let several processes
do so, `rounds` brings searches and what-ifs together. `searching` is the order of it all, and
`suggestion_search` its owner; `uncertainty`, `why_not`, `suggestion_tables`, `suggestion_chart` and
`suggested_policies` write what came of it. Called by `lockkeeper.cli.planning`.
"""
