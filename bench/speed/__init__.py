"""Cost of our implementations against the obvious ones, in one process (pytest-benchmark)."""
