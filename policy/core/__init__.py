"""The pure core: decides on data; clock and snapshot are arguments, and nothing here has effects."""
