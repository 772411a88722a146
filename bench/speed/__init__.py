"""What things cost, ours against the obvious way in one process (pytest-benchmark)."""
