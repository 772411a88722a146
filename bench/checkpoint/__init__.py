"""Judging a user's own checkpoint against its dense model."""
