"""Pages and plots from evidence: pure functions of what was recorded."""
