"""Verdicts from numbers: intervals, regions, claims and the evidence; knows no model."""
