"""Krony-PT: Kronecker Products and GPT2."""
