"""Serving certificates: making, keeping, reloading. Stands alone."""
