"""Quantization: rounding to integer and float grids, GPTQ, AWQ, LLM.int8() and SmoothQuant."""
