"""Wang, Wang & Li: Evaluating Zero-Shot Long-Context LLM Compression."""
