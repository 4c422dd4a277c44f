"""What the page shows, read once for all requests of one viewer: view, stories, locks, policies, history.

A cluster comes in, reached with the rights of the viewer; structs go out, each with a mark that is another
where what is shown is another. `cluster_state` has them all. `last_read` reads when somebody asks and what is
there is old, and bounds what that takes; `change_watch` notices that nothing was changed. `history` keeps
figures over time. Called by `lockkeeper.page`.
"""
