"""The admission face of Lockkeeper: HTTP, the wire format, and the path of a review."""
