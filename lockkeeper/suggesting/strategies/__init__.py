"""What may be changed to meet waits, and in which order it is tried: pure, nothing is played here.

`wanted_waits` says what is to be met, `settings` which numbers of policies may change and how they are
written, `busy_hours` in which hours Workflows wait, `ways` what limits, shares or windows change and cost.
`smallest_settings` is the search: a generator that yields settings to be tried and is sent the waits under
each, so that it can be driven by any number of processes, and tried without any.
Called by `lockkeeper.suggesting`, which has the what-ifs played.
"""
