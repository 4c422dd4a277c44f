"""What is wrong with Argo's objects in files, for `lockkeeper lint`, without a cluster.

Objects with their places come from `lockkeeper.manifests`; `reading` decodes them, and makes documents for a
snapshot; `lint` runs the checks
of the webhook in `policy.core` on each of them, by the policies among the files or by what Argo itself would
fail on. Findings go out, each with its file and line; `lockkeeper.cli.lint`, which calls all this, prints
them in its formats. A new check of the webhook shows here without a change; a check of files alone is a
function in `lint`.
"""
