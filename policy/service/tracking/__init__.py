"""The live Workflows as the leader's watch shows them: one small record each.

Watch events come in; records and what changed since the last pass go out. There may be a hundred thousand of
them, so metadata only is read and strings are shared. Who runs under whose slot (children) is known here.
Called by `release.controller`, which lists and watches. Next: `policy.service.release`.
"""
