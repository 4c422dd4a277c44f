"""The command line: what a person types, and nothing that decides.

A module for each command, listed in `commands.py`, adds its options and runs it; the options that several
have are in `policy_options`, `cluster_options` and `address_options`. What comes in are the parsed
arguments, what goes out is an exit code and text on standard output. `serve` and `controller` put their
process together from the parts of `lockkeeper.assembly` and of the rooms below it; `run` starts
`lockkeeper.embedded`. Only `lockkeeper.__main__` imports from here. To add a command, write its module and
add a line to the table.
"""
