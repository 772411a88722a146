"""Measurement of a model on a text: what every paper's instruments share."""
