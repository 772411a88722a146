"""From numbers to verdicts: intervals, regions, claims and the evidence; knows no model."""
