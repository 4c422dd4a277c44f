"""Where policies come from: a directory of YAML becomes one immutable Snapshot, or every error at once."""
