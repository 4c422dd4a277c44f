"""The command line: one module for each command, and nothing that decides.

Each is listed in `commands.py`, adds its options and runs; the options that several have are in `options`,
those of commands that serve in `serving_options`. The parsed arguments come in, an exit code and text on
standard output go out. `serve` and `controller` put their
process together from the parts of `lockkeeper.assembly` and of the rooms below it; `run` starts
`lockkeeper.embedded`. Only `lockkeeper.__main__` imports from here. To add a command, write its module and
add a line to the table.
"""
