"""The page: quotas, queue, Workflows, locks, policies and history of a cluster in a browser. It only reads.

A cluster comes in, reached with the rights of whoever runs `lockkeeper web`, or that of `lockkeeper run`;
HTML goes out. `cluster_state` reads, once for all browsers that are open (`last_read`) and not where nothing
was changed (`change_watch`); `app` has the routes, headers and errors. What is shown is prepared in
`overview`, `queue_rows`, `policy_rows` and `history`, and written by `templates`, which are readable without
JavaScript: `static/page.js` and htmx only ask again. `page_server` serves it. Called by `lockkeeper.cli.web`
and `lockkeeper.embedded`.
"""
