"""The whole product on one machine, without a cluster, for `lockkeeper run`.

`embedded` puts webhook, controller and an in-memory cluster into one process, together with what a cluster
has around them: `api_server` sends what is created through the webhooks and stores it, `argo` is a small
simulated workflow controller. `play` creates the Workflows of a folder one after another, and `narrator`
tells a person what becomes of each. What comes in are folders of policies and Workflows; what goes out are
lines on standard output, and whether all went well. Only `lockkeeper.cli.run` calls it.
"""
