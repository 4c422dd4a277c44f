"""The controller: tracks live Workflows, writes the ledgers, releases Workflows and shows why others wait.

One replica leads (`leading`); its term follows every live Workflow (`tracking`), plans and sends releases
(`release`), watches locks (`locks`) and writes conditions, events and metrics (`status`). A change in the
cluster comes in; writes of ledgers, Workflows and statuses go out, all through `policy.cluster.protocol` and
all fenced by the term's epoch. Started by `lockkeeper.assembly.controller`. Nothing is polled: every pass
follows a change or a time that is due.
"""
