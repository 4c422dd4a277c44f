"""The page: quotas, queue, Workflows, locks, policies and history of a cluster in a browser. It only reads.

A cluster comes in, reached with the rights of whoever looks; HTML goes out. `app` has the routes and headers,
`error_pages` what else is answered. What is shown is read by `lockkeeper.page_state`, prepared in `overview`
and `queue_rows`, and written by `templates`, which are readable without JavaScript: `static/page.js` and htmx
only ask again. `viewers` are those who look: one, or by `sign_in` and `sessions` all who have a token;
`needed_rights` says what they lack. `page_server` serves it. Called by `lockkeeper.cli.web` and
`lockkeeper.embedded`.
"""
