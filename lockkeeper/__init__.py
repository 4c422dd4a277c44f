"""The lockkeeper command: the wiring of the parts, the command line, the embedded mode."""

__version__ = "0.1.0"
