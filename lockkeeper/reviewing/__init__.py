"""What the webhook would decide about each object of files, for `lockkeeper review`.

An object of `lockkeeper.manifests` comes in with the policies of a folder; `object_review` sends it down the
webhook's own path (`webhook.wire`, `webhook.review`) and returns the decision with its lines, `review_report`
turns decisions into findings for the formats of `lockkeeper.findings`, `review_table` writes them for people.
`lockkeeper.cli.review` calls all of it. What a review says is decided in `policy.core.admission`.
"""
