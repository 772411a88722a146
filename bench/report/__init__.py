"""From evidence to pages and plots: pure functions of what was recorded."""
