"""Sums of Kronecker products in the place of a weight (Krony-PT, TQCompressor)."""
