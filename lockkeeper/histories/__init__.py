"""Histories of Workflows as simulate plays them: what has run, from files and tables, or a described load.

A path or an address comes in; `opening` returns the history, whose runs come out in the order of their
creation and in bounded memory (`sorting`), however large it is. `recorded` makes a run of one Workflow, and
`remarks` has what was left out and what was taken for something else: nothing is left out silently. Where
Workflows come from is in a module each (`archive_rows`, `live_queue`, `load_drawing`). Called by
`lockkeeper.cli.planning`; the runs go to `policy.service.simulation`.
"""
