"""The whole product on one machine, without a cluster, for `lockkeeper run`.

`embedded` puts webhook, controller and an in-memory cluster into one process, together with what a cluster
has around them: `api_server` sends what is created through the webhooks and stores it, `argo` is a small
simulated workflow controller. `play` creates the Workflows of a folder one after another, and
`event_printer` prints what happens to each. Folders of policies and Workflows come in; lines on standard
output go out, and whether all went well. Only `lockkeeper.cli.run` calls it.
"""
