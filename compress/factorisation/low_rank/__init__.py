"""Thin factors in the place of a weight: truncated SVD, plain or weighted, with or without a sparse residual."""
