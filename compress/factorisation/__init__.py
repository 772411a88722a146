"""Factorisation: weights written as products of smaller matrices."""
