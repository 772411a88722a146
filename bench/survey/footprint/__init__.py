"""Footprint benchmark: quality of every family of methods against the bytes of its files."""
