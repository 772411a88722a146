"""From a model and a text to numbers: what every paper's instruments share."""
