"""Puts the product together from its parts: everything here is wiring, and nothing is decided.

Four parts, each of which more than one command needs: the webhook's application (`webhook`), the controller
that releases Workflows and its terms as the leader (`controller`), and the policies in force, those of a
folder (`policy_folder`) or those of a cluster (`cluster_policies`, for the Argo that `argo_installed` finds).
Clusters, boards and ledgers come in, objects with a `run` or a WSGI application go out. Whole processes are
put together from these by `lockkeeper.cli.serve`, `lockkeeper.cli.controller` and
`lockkeeper.embedded.embedded`.
"""
