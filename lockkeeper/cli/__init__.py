"""One module a command; each has `configure(parser)` and `run(arguments) -> int`."""
