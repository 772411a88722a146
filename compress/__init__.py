"""Compression methods, and the walk that applies them to the blocks of a live model."""
