"""The view of a cluster as people read it in a terminal: tables, bars and sentences.

A `ClusterView` or a `Story` of `policy.core.cluster_view` comes in, lines go out; nothing is read or decided
here. `quota_table` is the tree of `lockkeeper status`, `queue_table` that of `lockkeeper queue`,
`story_text` what `lockkeeper why` says, and `terminal` has what all need: bars where a person looks, plain
text in a pipe, and lines that fit. Called by the commands of `lockkeeper.cli`.
"""
