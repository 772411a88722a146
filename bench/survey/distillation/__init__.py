"""Distillation of a pretrained encoder into smaller classifiers, SV15."""
