"""A Brief Survey of Model Compression in Language Models."""
