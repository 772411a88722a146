"""Pruning: magnitude, random, Wanda, SparseGPT, N:M patterns and whole channels and heads."""
