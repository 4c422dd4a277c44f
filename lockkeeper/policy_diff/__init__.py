"""What two sets of policies decide differently, for `lockkeeper diff`.

Two snapshots come in with the Workflows that were read. `object_differences` compares what the reviews of one
object say on both sides, `policy_differences` the policies field by field and the limits in force by
namespace; `differences` is what comes out. `difference_text` and `difference_markdown` write it for a
terminal and for a comment in a pull request. `lockkeeper.cli.planning.diff` calls it; decisions are made by
`lockkeeper.reviewing`.
"""
