"""The whole product on one machine, without a cluster, for `lockkeeper run`.

`embedded` puts webhook, controller and an in-memory cluster into one process, together with what a cluster
has around them: `api_server` sends what is created through the webhooks and stores it, `simulated_argo` is a
room of its own. `play` takes what `workflow_folder` finds in files, one object after another, and later what
comes (`taking`, `submitting`), `event_printer` prints what happens to each, `closing` sums it up. Folders of
policies and Workflows come in; lines on standard output go out. Only `lockkeeper.cli.run` calls it.
"""
