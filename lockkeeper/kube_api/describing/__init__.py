"""How the API of `lockkeeper run` describes itself: its groups, its kinds, and what fields they have.

`discovery` answers what kubectl asks before it sends anything, and what `kubectl explain` shows.
`crd_schemas` has the schemas of our own CRDs, as the chart brings them; writes follow them, too: fields that
they do not have are named and dropped, and defaults are filled in. `kubeconfig` leads to it all. Called by
`http_server` and `object_rules` of the room above, and by `lockkeeper.embedded`; the kinds themselves are
`served_kinds` there.
"""
