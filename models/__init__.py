"""Models and text, fetched, verified and loaded. Knows nothing of compression."""
